"""APE and APE-T against their equations in plain loops, and what they promise whatever the data."""

import math
from dataclasses import replace

import pytest
import torch

from croftbench.method import Examples
from croftbench.methods.ape import APE, APET, Cache, likeness, refined, steps
from croftbench.training import Recipe, unit
from tests.methods.features import SCALE, small_task

STILL = Recipe(lr=1e-12, epochs=1, batch=24, momentum=0.0, weight_decay=0.0, warmup=0, schedule="constant")


def pairs(features, classes):
    """The mean of p_d q_d over features p and q of two different classes, pair by pair."""
    products = [
        p * q
        for p, i in zip(features, classes, strict=True)
        for q, j in zip(features, classes, strict=True)
        if i != j
    ]  # fmt: skip
    return torch.stack(products).mean(0)


def test_likeness_is_the_mean_over_pairs_of_classes():
    rng = torch.Generator().manual_seed(0)
    features, classes = torch.randn(11, 5, generator=rng).double(), torch.tensor([0, 1, 2, 0, 0, 1, 2, 2, 2, 1, 0])
    torch.testing.assert_close(likeness(features, classes, 3), pairs(features, classes.tolist()))


def test_channels_in_which_classes_differ_are_kept():
    t = torch.zeros(4, 6).double()
    t[:, 2] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    t[:, 4] = torch.tensor([0.5, -0.5, -0.5, 0.5])
    t[:, 0] = 1.0
    kept = refined(likeness(t, torch.arange(4), 4), t, 0.5, 2 / 6)
    assert sorted(kept.tolist()) == [2, 4]
    assert len(refined(torch.zeros(6), t, 0.5, 0.01)) == 1


def test_logits_of_the_training_free_kind(measured):
    task = small_task()
    t, y = unit(task.text), task.train.labels
    K = unit(task.train.views.mean(0))
    sim = pairs(torch.cat([t, K]), [0, 1, 2, *y.tolist()])
    J = [-0.7 * sim[d] + 0.3 * t[:, d].var() for d in range(6)]
    kept = sorted(range(6), key=lambda d: -J[d])[:3]
    x = unit(task.train.views[1] + 0.3)
    expected = SCALE * x @ t.T
    for i in range(24):
        key, texts = unit(K[i, kept]), unit(t[:, kept])
        p = torch.softmax(texts @ key, 0)[y[i]]
        vote = math.exp(0.1 * math.log2((1 + 1e-6) / (p + 1e-6)))
        expected[:, y[i]] += 2 * torch.exp(-5.5 * (1 - unit(x[:, kept]) @ key)) * vote
    outputs = APE(channels=0.5, beta=5.5).fit(task)(7 * (task.train.views[1] + 0.3))
    measured("ape", outputs.logits, expected)


def test_untrained_ape_t_is_tip_adapters_cache():
    task = small_task()
    K, V, t, s = Cache.of(task)
    x = unit(task.train.views[1])
    expected = s * x @ t.T + 2 * torch.exp(-1.5 * (1 - x @ K.T)) @ V
    outputs = APET(beta=1.5, recipe=STILL).fit(task)(task.train.views[1])
    torch.testing.assert_close(outputs.logits, expected, rtol=1e-7, atol=1e-7)


def test_ape_t_by_one_step_of_hand(measured):
    task = small_task(views=1)
    t, s, y = unit(task.text), SCALE, task.train.labels
    K = z = unit(task.train.views[0])
    V = torch.eye(3).double()[y]
    kept = refined(pairs(t, [0, 1, 2]), t, 0.2, 0.5)
    mask = torch.zeros(6).double().index_fill_(0, kept, 1)
    R, v = torch.zeros(3, 6).double().requires_grad_(), torch.ones(24, 1).double().requires_grad_()

    def logits(R, v, x):
        return s * x @ (t + R * mask).T + 2 * torch.exp(-(1 - x @ (K + (R * mask)[y]).T)) @ (V * v)

    (-logits(R, v, z).log_softmax(1)[torch.arange(24), y].mean()).backward()
    by = replace(STILL, lr=0.01, optimiser="sgd")
    outputs = APET(channels=0.5, recipe=by).fit(task)(task.train.views[0])
    stepped = logits(R - 0.01 * R.grad, v - 0.01 * v.grad, z)
    measured("ape-t", outputs.logits, stepped)


def test_steps_are_the_published_ones():
    assert list(steps(0, 0.5, 5)) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert list(steps(0.1, 7, 20))[-1] == pytest.approx(0.1 + 19 * 6.9 / 20)


@pytest.mark.parametrize("method", [APE(search=True), APET(search=True, recipe=STILL)])
def test_what_is_sought_is_not_worse_on_validation_images(method, monkeypatch):
    monkeypatch.setattr("croftbench.methods.ape.BETAS", 6)
    task = small_task(images=9)
    other = small_task(images=24)
    val = Examples(other.train.views[1:], other.train.labels, other.train.domains)
    sought = method.fit(replace(task, val=val))(val.views[0]).logits.argmax(1) == val.labels
    given = replace(method, search=False).fit(task)(val.views[0]).logits.argmax(1) == val.labels
    assert sought.sum() >= given.sum()
    torch.testing.assert_close(
        method.fit(task)(val.views[0]).logits, replace(method, search=False).fit(task)(val.views[0]).logits
    )
