"""PromptSRC against open_clip's blocks run one by one, each term of its loss spelt out, and SGD by hand."""

import math
from dataclasses import replace

import pytest
import torch

from croftbench.encoders import blocks
from croftbench.methods.prompt_src import PromptSRC
from croftbench.training import Recipe

S, M, J, RATE = 20.0, 4, 3, 0.01
WORDS = "a photo of a"


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def features(seeing, names, contexts, x):
    v, w = contexts[:J], contexts[J:]
    rows = []
    for name in names:
        text = f"{WORDS} {name.replace('_', ' ')}."
        prompt = torch.cat([seeing.embed(text)[:1], v[0], seeing.embed(text)[1 + M :]])
        rows.append(seeing.read_deep(prompt, seeing.tokens(text) + 1, v))
    return unit(seeing.see_deep(x, w)), unit(torch.stack(rows))


def spelt_out(z, t, z0, t0, y):
    """Number by number."""
    N, C, D = len(z), len(t), t.shape[1]
    p, q = (S * z @ t.T).softmax(1), (S * z0 @ t0.T).softmax(1)
    right = -sum(p[i, y[i]].log() for i in range(N)) / N
    of_text = sum((t[c, d] - t0[c, d]).abs() for c in range(C) for d in range(D)) / (C * D)
    of_image = sum((z[i, d] - z0[i, d]).abs() for i in range(N) for d in range(D)) / (N * D)
    near = sum(q[i, c] * (q[i, c].log() - p[i, c].log()) for i in range(N) for c in range(C)) / (N * C)
    return right + 25 * of_text + 10 * of_image + near


def test_three_epochs_restated(seeing, pixel_task, measured):
    """The contexts that predict are the Gaussian average of those after each epoch."""
    rng, image, text = pixel_task.generator(), pixel_task.towers.image, pixel_task.towers.text
    flat = [0.02 * torch.randn(M, t.width, generator=rng, dtype=torch.float64) for t in (text, image) for _ in range(J)]
    flat[0] = seeing.embed(WORDS)[1 : 1 + M].clone()
    velocity, losses, kept = [None] * len(flat), [], []
    for epoch, rate in enumerate((1e-5, RATE, RATE * (1 + math.cos(math.pi / 3)) / 2)):
        rows, view = torch.randperm(6, generator=rng)[:4], epoch % 2
        leaves = [x.requires_grad_() for x in flat]
        x = pixel_task.train.batch(view, rows)
        z, t = features(seeing, pixel_task.classnames, leaves, x)
        z0 = unit(seeing.model.encode_image(x))
        loss = spelt_out(z, t, z0, unit(pixel_task.raw_text), pixel_task.train.labels[rows])
        losses.append(loss.item())
        grads = [g + 5e-4 * p.detach() for g, p in zip(torch.autograd.grad(loss, leaves), leaves, strict=True)]
        velocity = [g if old is None else 0.9 * old + g for g, old in zip(grads, velocity, strict=True)]
        flat = [p.detach() - rate * g for p, g in zip(leaves, velocity, strict=True)]
        kept.append(flat)
    gauss = torch.tensor([math.exp(-(((e - 2.5) / 0.7) ** 2) / 2) for e in (1, 2, 3)], dtype=torch.float64)
    share = gauss / gauss.sum()
    averaged = [sum(share[e] * kept[e][i] for e in range(3)) for i in range(len(flat))]
    seen = []
    watched = replace(pixel_task, on_epoch=lambda *at: seen.append(at[2]))
    method = PromptSRC(mean=2.5, std=0.7, recipe=replace(PromptSRC().recipe, epochs=3, lr=RATE))
    x = pixel_task.train.batch(0, torch.arange(6))
    predictor = method.fit(watched)
    with torch.no_grad():
        z, t = features(seeing, pixel_task.classnames, averaged, x)
        measured("prompt-src", predictor(x).logits, S * z @ t.T)
    assert seen == pytest.approx(losses, rel=1e-11)


def test_memory_is_bounded_by_micro_batches_that_change_nothing(pixel_task, monkeypatch):
    x, method = pixel_task.train.batch(0, torch.arange(6)), PromptSRC(recipe=Recipe(lr=RATE, epochs=2, batch=6))
    at_once = method.fit(pixel_task)(x).logits
    monkeypatch.setattr(blocks, "KEPT", 1)
    torch.testing.assert_close(method.fit(pixel_task)(x).logits, at_once, rtol=0, atol=1e-11)


def test_the_heavier_it_is_held_the_nearer_it_stays_to_the_frozen_model(pixel_task):
    x, z0 = pixel_task.train.batch(0, torch.arange(6)), unit(pixel_task.train.views[0])

    def moved(weight):
        method = PromptSRC(text_weight=weight, image_weight=weight, recipe=Recipe(lr=RATE, epochs=20, batch=6))
        return (method.fit(pixel_task)(x).features - z0).norm().item()

    assert moved(0.0) > moved(300.0)


def test_other_names(pixel_task):
    x = pixel_task.train.batch(0, torch.arange(6))
    predictor = PromptSRC(recipe=Recipe(lr=RATE, epochs=2, batch=6)).fit(pixel_task)
    names = (pixel_task.classnames[2], pixel_task.classnames[0])
    renamed = predictor.with_classes(names, pixel_task.text[[2, 0]])
    torch.testing.assert_close(renamed(x).logits, predictor(x).logits[:, [2, 0]])


def test_published_defaults():
    method = PromptSRC()
    assert (method.n_ctx, method.depth, method.text_weight, method.image_weight) == (4, 9, 25.0, 10.0)
    assert (method.mean, method.std, method.words) == (30.0, 30.0, WORDS)
    assert method.recipe == Recipe(lr=0.0025, epochs=50, batch=4, weight_decay=5e-4)
