"""ZS-LP and CLAP against their equations, with two steps by hand, and what they promise whatever the data."""

from dataclasses import replace

import pytest
import torch

from croftbench.methods.clap import CLAP, ZSLP, multipliers
from croftbench.training import Recipe, unit
from tests.methods.features import SCALE, small_task

TWO = Recipe(lr=0.05, epochs=2, batch=64, momentum=0.9, weight_decay=0.0, warmup=0, schedule="constant")


def test_multipliers_are_the_mean_probability_of_the_true_class():
    task = small_task()
    stated = []
    for c in range(3):
        p = [
            torch.softmax(torch.stack([SCALE * torch.cosine_similarity(view[i], e, dim=0) for e in task.text]), 0)[c]
            for view in task.train.views
            for i in range(24)
            if task.train.labels[i] == c
        ]
        stated.append(torch.stack(p).mean())
    torch.testing.assert_close(multipliers(task.train, task.text, SCALE), torch.stack(stated))


@pytest.mark.parametrize("method", [ZSLP, CLAP])
def test_two_steps_by_hand(method, measured):
    task = replace(small_task(views=1), raw_text=7 * small_task().text)
    e, y, s = task.raw_text, task.train.labels, SCALE
    weight = multipliers(task.train, e, s) if method is CLAP else torch.zeros(3).double()
    w, velocity = e.clone(), torch.zeros_like(e)
    for _ in range(2):
        at = w.clone().requires_grad_()
        logits = torch.stack([s * torch.cosine_similarity(task.train.views[0], row, dim=1) for row in at], dim=1)
        loss = -logits.log_softmax(1)[torch.arange(24), y].mean()
        loss = loss + sum(weight[c] * (at[c] - e[c]).square().sum() for c in range(3)) / 3
        loss.backward()
        velocity = 0.9 * velocity + at.grad
        w = w - 0.05 * velocity
    outputs = method(recipe=TWO).fit(task)(task.train.views[0])
    torch.testing.assert_close(outputs.classes, unit(w), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(outputs.logits, s * outputs.features @ outputs.classes.T)
    expected = s * unit(task.train.views[0]) @ unit(w).T
    if method is CLAP:
        measured("clap", outputs.logits, expected)
    else:
        measured("zs-lp", outputs.logits, expected)


def test_clap_stays_nearer_to_the_text():
    task = small_task()
    texts = unit(task.text)
    moved = [1 - (m(recipe=replace(TWO, epochs=60)).fit(task)(task.train.views[0]).classes * texts).sum(1).mean()
             for m in (ZSLP, CLAP)]  # fmt: skip
    assert 0 < moved[1] < moved[0]


def test_the_defaults_are_the_published_configuration():
    recipe = CLAP().recipe
    assert (recipe.lr, recipe.epochs, recipe.batch, recipe.weight_decay, recipe.momentum) == (0.1, 300, 256, 0.0, 0.9)
    assert ZSLP().recipe == recipe


def test_a_long_raw_text_turns_less():
    task = small_task()

    def turn(length):
        longer = replace(task, raw_text=length * task.text)
        return (ZSLP(recipe=TWO).fit(longer)(task.train.views[0]).classes - unit(task.text)).norm()

    assert turn(10.0) < turn(1.0)
