"""MaPLe against open_clip's blocks run one by one, and SGD by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from croftbench.encoders import blocks
from croftbench.methods.maple import MaPLe
from croftbench.training import Recipe

S, M, J, RATE = 20.0, 2, 3, 0.01
WORDS = "a photo of a"


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def drawn(task, seeing):
    """v_j, then F_j as (weight, bias), before training."""
    rng, image, text = task.generator(), task.towers.image, task.towers.text
    v = [0.02 * torch.randn(M, text.width, generator=rng, dtype=torch.float64) for _ in range(J)]
    v[0] = seeing.embed(WORDS)[1 : 1 + M].clone()
    F = []
    for _ in range(2):
        both = (2 * torch.rand(image.width, text.width + 1, generator=rng, dtype=torch.float64) - 1) / text.width**0.5
        F.append((both[:, :-1].clone(), both[:, -1].clone()))
    return [*v, *F[0], *F[1], *(part.clone() for part in F[1])], rng


def classified(seeing, names, weights, x):
    v, F = weights[:J], [weights[J + 2 * j : J + 2 * j + 2] for j in range(J)]
    z = seeing.see_deep(x, [v[j] @ F[j][0].T + F[j][1] for j in range(J)])
    rows = []
    for name in names:
        text = f"{WORDS} {name.replace('_', ' ')}."
        prompt = torch.cat([seeing.embed(text)[:1], v[0], seeing.embed(text)[1 + M :]])
        rows.append(seeing.read_deep(prompt, seeing.tokens(text) + 1, v))
    return S * unit(z) @ unit(torch.stack(rows)).T


def test_two_epochs_restated(seeing, pixel_task, measured):
    """The warm-up rate, then the cosine's first; SGD with momentum and decay, batches of four."""
    flat, rng = drawn(pixel_task, seeing)
    velocity, losses = [None] * len(flat), []
    for epoch, rate in enumerate((1e-5, RATE)):
        rows = torch.randperm(6, generator=rng)[:4]
        leaves = [w.requires_grad_() for w in flat]
        logits = classified(seeing, pixel_task.classnames, leaves, pixel_task.train.batch(epoch, rows))
        loss = cross_entropy(logits, pixel_task.train.labels[rows])
        losses.append(loss.item())
        grads = [g + 5e-4 * w.detach() for g, w in zip(torch.autograd.grad(loss, leaves), leaves, strict=True)]
        velocity = [g if old is None else 0.9 * old + g for g, old in zip(grads, velocity, strict=True)]
        flat = [w.detach() - rate * g for w, g in zip(leaves, velocity, strict=True)]
    seen = []
    watched = replace(pixel_task, on_epoch=lambda *at: seen.append(at[2]))
    method = MaPLe(recipe=replace(MaPLe().recipe, epochs=2, lr=RATE))
    x = pixel_task.train.batch(0, torch.arange(6))
    predictor = method.fit(watched)
    with torch.no_grad():
        measured("maple", predictor(x).logits, classified(seeing, pixel_task.classnames, flat, x))
    assert seen == pytest.approx(losses, rel=1e-11)


def test_memory_is_bounded_by_micro_batches_that_change_nothing(pixel_task, monkeypatch):
    x = pixel_task.train.batch(0, torch.arange(6))
    method = MaPLe(recipe=Recipe(lr=RATE, epochs=2, batch=6))
    at_once = method.fit(pixel_task)(x).logits
    monkeypatch.setattr(blocks, "KEPT", 1)
    torch.testing.assert_close(method.fit(pixel_task)(x).logits, at_once, rtol=0, atol=1e-11)


def test_more_context_than_words_starts_at_random_and_without_them(pixel_task):
    x = pixel_task.train.batch(0, torch.arange(6))
    recipe = Recipe(lr=1e-99, epochs=1, batch=6, warmup=0)
    same = [MaPLe(n_ctx=5, words=words, recipe=recipe).fit(pixel_task)(x).logits for words in (WORDS, "")]
    assert torch.equal(*same)


def test_other_names_and_one_block_alone(pixel_task):
    x, recipe = pixel_task.train.batch(0, torch.arange(6)), Recipe(lr=RATE, epochs=2, batch=6)
    shallow, deep = (MaPLe(depth=d, recipe=recipe).fit(pixel_task) for d in (1, 9))
    assert not torch.allclose(shallow(x).logits, deep(x).logits)
    names = (pixel_task.classnames[2], pixel_task.classnames[0])
    for predictor in (shallow, deep):
        renamed = predictor.with_classes(names, pixel_task.text[[2, 0]])
        torch.testing.assert_close(renamed(x).logits, predictor(x).logits[:, [2, 0]])


def test_published_defaults():
    method = MaPLe()
    assert (method.n_ctx, method.depth, method.words) == (2, 9, WORDS)
    assert method.recipe == Recipe(lr=0.0035, epochs=5, batch=4, weight_decay=5e-4)
    assert math.isclose(method.recipe.lr_at(0), 1e-5)
