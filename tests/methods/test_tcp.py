"""TCP against open_clip's blocks run one by one, class by class, and Adam by hand."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from croftbench.methods.tcp import TCP
from croftbench.training import Recipe

S, M, RATE = 20.0, 4, 0.01


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


@pytest.fixture
def task(pixel_task):
    """Of frozen features."""
    return replace(pixel_task, train=replace(pixel_task.train, read=None))


def drawn(task):
    rng, width, D = task.generator(), task.towers.text.width, task.text.shape[1]
    v = 0.02 * torch.randn(M, width, generator=rng, dtype=torch.float64)
    layers = []
    for to, wide in ((D // 4, D), (M * width, D // 4)):
        both = (2 * torch.rand(to, wide + 1, generator=rng, dtype=torch.float64) - 1) / wide**0.5
        layers += [both[:, :-1].clone(), both[:, -1].clone()]
    return [v, *layers], rng


def texts(seeing, task, weights, block):
    v, A1, b1, A2, b2 = weights
    rows = []
    for name, e in zip(task.classnames, unit(task.text), strict=True):
        hidden = A1 @ e + b1
        own = (A2 @ (hidden / (1 + (-1.702 * hidden).exp())) + b2).reshape(M, -1)
        text = f"{name.replace('_', ' ')}."
        prompt = torch.cat([seeing.embed(text)[:1], v, seeing.embed(text)[1:-M]])
        x = (prompt + seeing.model.positional_embedding)[None]
        for j, one in enumerate(seeing.model.transformer.resblocks):
            x = torch.cat([x[:, :1], own[None], x[:, 1 + M :]], 1) if j == block else x
            x = one(x, attn_mask=seeing.model.attn_mask)
        rows.append(seeing.model.ln_final(x)[0, M + seeing.tokens(text) + 1] @ seeing.model.text_projection)
    return unit(torch.stack(rows))


@pytest.mark.parametrize(("asked", "block"), [(8, 2), (1, 1)])
def test_two_epochs_restated(seeing, task, measured, asked, block):
    """Of a tower of three blocks block 8 is the last."""
    flat, rng = drawn(task)
    moments, losses = [[torch.zeros_like(w), torch.zeros_like(w)] for w in flat], []
    for epoch, rate in enumerate((1e-5, RATE)):
        rows = torch.randperm(6, generator=rng)[:4]
        leaves = [w.requires_grad_() for w in flat]
        t = texts(seeing, task, leaves, block)
        away = 1 - sum(t[c] @ unit(task.text)[c] for c in range(3)) / 3
        loss = cross_entropy(S * unit(task.train.views[epoch][rows]) @ t.T, task.train.labels[rows]) + 8 * away
        losses.append(loss.item())
        flat = []
        for w, g, (m, n) in zip(leaves, torch.autograd.grad(loss, leaves), moments, strict=True):
            g = g + 5e-4 * w.detach()
            m.mul_(0.9).add_(0.1 * g)
            n.mul_(0.999).add_(0.001 * g * g)
            step = epoch + 1
            flat.append(w.detach() - rate * m / (1 - 0.9**step) / ((n / (1 - 0.999**step)).sqrt() + 1e-8))
    seen = []
    watched = replace(task, on_epoch=lambda *at: seen.append(at[2]))
    method = TCP(block=asked, recipe=replace(TCP().recipe, epochs=2, batch=4, lr=RATE))
    f = task.train.views[0]
    predictor = method.fit(watched)
    with torch.no_grad():
        measured("tcp", predictor(f).logits, S * unit(f) @ texts(seeing, task, flat, block).T)
    assert seen == pytest.approx(losses, rel=1e-10)


def test_other_names_get_class_tokens_of_their_own(task):
    f, predictor = task.train.views[0], TCP(recipe=Recipe(epochs=2, batch=6)).fit(task)
    renamed = predictor.with_classes((task.classnames[2], task.classnames[0]), task.text[[2, 0]])
    torch.testing.assert_close(renamed(f).logits, predictor(f).logits[:, [2, 0]])


def test_the_heavier_the_weight_the_nearer_the_texts_stay(task):
    def away(weight):
        t = TCP(weight=weight, recipe=Recipe(lr=RATE, epochs=30, batch=6)).fit(task)(task.train.views[0]).classes
        return 1 - (t * unit(task.text)).sum(1).mean().item()

    assert away(0.0) > away(80.0)


def test_published_defaults():
    method = TCP()
    assert (method.n_ctx, method.block, method.weight, method.words) == (4, 8, 8.0, "")
    assert method.recipe == Recipe(optimiser="adam", lr=0.002, epochs=50, batch=32, weight_decay=5e-4)
