"""Local-Prompt: its losses in loops, and training against open_clip's text tower and SGD by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from croftbench.methods.local_prompt import LocalPrompt, apart, crops_of, known, outside, r_mcm
from croftbench.training import Recipe

S, TAU, DECAY, LAMBDA, DIV = 20.0, 2.0, 5e-4, 5.0, 0.5


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def images(task, view: int = 0) -> Tensor:
    return task.train.batch(view, torch.arange(12))


def largest(values, k):
    return sorted(values, key=lambda x: float(torch.as_tensor(x).detach()), reverse=True)[:k]


def known_by_hand(p: Tensor, local: Tensor, none: Tensor, y: int, k: int) -> Tensor:
    """Of one crop's places, in the symbols of the file."""
    e = [[(S * (place @ row) / TAU).exp() for place in p] for row in (*local, *none)]
    every = sum(sum(largest(row, k)) for row in e)
    return -(sum(largest(e[y], k)) / every).log()


def outside_by_hand(r: Tensor, local: Tensor, none: Tensor, y: int, k: int) -> Tensor:
    e = [[(S * (place @ row) / TAU).exp() for place in r] for row in local]
    J = sorted(range(len(r)), key=lambda j: -float(e[y][j].detach()))[:k]
    N = sum((S * (r[j] @ row) / TAU).exp() for j in J for row in none)
    return -(N / (N + sum(sum(largest(row, k)) for row in e))).log()


@pytest.fixture
def example() -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Places (5, 4, 6), three classes, two of no class, labels."""
    rng = torch.Generator().manual_seed(2)
    p, local, none = (unit(torch.randn(*n, 6, generator=rng, dtype=torch.float64)) for n in ((5, 4), (3,), (2,)))
    return p, local, none, [0, 2, 1, 1, 0]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_losses_in_loops(example, k):
    p, local, none, y = example
    tensors = S * p @ local.T / TAU, S * p @ none.T / TAU, torch.tensor(y), k
    for ours, by_hand in ((known, known_by_hand), (outside, outside_by_hand)):
        one_by_one = [float(by_hand(places, local, none, label, k)) for places, label in zip(p, y, strict=True)]
        assert ours(*tensors).item() == pytest.approx(sum(one_by_one) / 5, rel=1e-12)
    pairs = [float(a @ b) for a in none for b in none]
    assert apart(none).item() == pytest.approx(sum(pairs) / 2, rel=1e-12)


def test_large_logits_do_not_overflow(example):
    p, local, none, y = example
    tensors = 1e4 * p @ local.T, 1e4 * p @ none.T, torch.tensor(y), 2
    assert known(*tensors).isfinite() and outside(*tensors).isfinite()


@pytest.mark.parametrize(("k", "tau"), [(1, 1.0), (3, 0.1), (12, 1.0), (99, 0.1)])
def test_the_score_in_loops(example, k, tau):
    p, local, none, _ = example
    t, z = unit(local + 0.3), unit(p.mean(1))
    expected = []
    for image, places in zip(z, p, strict=True):
        q = [x for place in places for x in torch.softmax(torch.cat([local, none]) @ place / tau, 0)[:3].tolist()]
        best = largest(q, min(k, 12))
        m = torch.softmax(t @ image / tau, 0).max().item() + sum(best) / len(best)
        expected.append(math.log(m / 2) - math.log(1 - m / 2) + math.log(2))
    assert r_mcm(z, p, t, local, none, k, tau).tolist() == pytest.approx(expected, rel=1e-10)


def test_places_of_no_class_lower_the_score(example):
    p, local, none, _ = example
    z, t = unit(p.mean(1)), local
    elsewhere = none[:1].expand(5, 4, -1)
    assert (r_mcm(z, elsewhere, t, local, none, 4) < r_mcm(z, t[:1].expand(5, 4, -1), t, local, none, 4)).all()


def test_the_crops_that_are_chosen(place_task):
    examples, t = place_task.train, unit(place_task.text)
    rows = torch.tensor([7, 0, 4])
    found = crops_of(examples, t, 3, 2)(2, rows)
    for b, row in enumerate(rows.tolist()):
        views = [2, 3, 0]  # from the epoch's view on, the first behind the last
        likeness = {v: float(unit(examples.views[v, row]) @ t[examples.labels[row]]) for v in views}
        ranked = sorted(views, key=lambda v: -likeness[v])
        for slot, view in enumerate((ranked[0], ranked[1], ranked[-1])):
            assert torch.equal(found[b, slot], examples.batch(view, rows[b : b + 1])[0, 1:])


def texts(tiny, names, v: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    def one(context: Tensor, text: str) -> Tensor:
        e, M = tiny.embed(text), len(context)
        return tiny.read(torch.cat([e[:1], context, e[1:-M]]), M + tiny.tokens(text) + 1)

    own = [one(context, f"{name.replace('_', ' ')}.") for context, name in zip(v, names, strict=True)]
    return unit(torch.stack(own)), unit(torch.stack([one(context, ".") for context in w]))


def test_two_epochs_restated(tiny, place_task, measured):
    """Of four views the two likeliest are positive, a step each; two of three places count, then all three."""
    task, rng, N, k = place_task, place_task.generator(), 2, 2
    v = 0.02 * torch.randn(3, 4, 32, generator=rng, dtype=torch.float64)
    w = 0.02 * torch.randn(N, 4, 32, generator=rng, dtype=torch.float64)
    t, flat, speed, losses = unit(task.text), [v, w], [torch.zeros_like(v), torch.zeros_like(w)], []
    for rate in (1e-5, 0.02):
        rows, steps = torch.randperm(12, generator=rng)[:8], []
        for positive in range(2):
            leaves = [x.requires_grad_() for x in flat]
            local, none = texts(tiny, task.classnames, *leaves)
            loss = DIV * sum(a @ b for a in none for b in none) / (N * (N - 1))
            for row in rows.tolist():
                y = int(task.train.labels[row])
                ranked = sorted(range(4), key=lambda view: -float(unit(task.train.views[view, row]) @ t[y]))
                p, r = (unit(images(task, ranked[at])[row, 1:]) for at in (positive, -1))
                loss = loss + known_by_hand(p, local, none, y, k) / 8
                loss = loss + LAMBDA * outside_by_hand(r, local, none, y, k) / 8
            steps.append(loss.item())
            grads = torch.autograd.grad(loss, leaves)
            flat = [x.detach() for x in leaves]
            speed = [0.9 * u + g + DECAY * x for u, g, x in zip(speed, grads, flat, strict=True)]
            flat = [x - rate * u for x, u in zip(flat, speed, strict=True)]
        losses.append(sum(steps) / 2)
    reported: list[float] = []
    watched = replace(task, on_epoch=lambda *at: reported.append(at[2]))
    recipe = Recipe(lr=0.02, epochs=2, batch=8, weight_decay=DECAY)
    method = LocalPrompt(n_ctx=4, negatives=N, positives=3, k=k, k_test=10, tau=TAU, recipe=recipe)
    found = method.fit(watched)(images(task))
    assert reported == pytest.approx(losses, rel=1e-12)
    with torch.no_grad():
        local, none = texts(tiny, task.classnames, *flat)
    z, p = unit(images(task)[:, 0]), unit(images(task)[:, 1:])
    product = (z @ t.T).exp() * (p @ local.T / TAU).exp().mean(1)  # as the authors write it
    measured("local-prompt", found.logits, S * product.log())
    torch.testing.assert_close(found.scores["r_mcm"], r_mcm(z, p, t, local, none, 10, TAU), rtol=1e-10, atol=1e-12)
    assert torch.equal(found.features, z) and found.classes is None


def test_one_view_is_both_crops(place_task):
    train = replace(place_task.train, views=place_task.train.views[:1])
    method = LocalPrompt(n_ctx=4, negatives=2, recipe=Recipe(epochs=2, batch=6))
    f = images(place_task)
    found = method.fit(replace(place_task, train=train))(f)
    turned = method.fit(replace(place_task, train=train))(f[:, [0, 2, 3, 1]])
    assert found.logits.isfinite().all()
    torch.testing.assert_close(turned.logits, found.logits)
    torch.testing.assert_close(turned.scores["r_mcm"], found.scores["r_mcm"])


def test_the_heavier_the_weight_the_further_apart_is_what_stands_for_no_class(place_task):
    def mean_cosine(div: float) -> float:
        seen: list[Tensor] = []
        tower = place_task.towers.text

        class Watched:
            def __getattr__(self, name):
                return getattr(tower, name)

            def encode(self, shared, rest, end):
                seen.append(tower.encode(shared, rest, end))
                return seen[-1]

        task = replace(place_task, towers=type(place_task.towers)(Watched()))
        recipe = Recipe(lr=0.05, epochs=10, batch=12, weight_decay=0.0)
        LocalPrompt(n_ctx=4, negatives=4, lambda_neg=0.0, div=div, recipe=recipe).fit(task)
        return apart(unit(seen[-1][:, 0])).item()

    assert mean_cosine(20.0) < mean_cosine(0.0)


def test_published_defaults():
    method = LocalPrompt()
    assert (method.n_ctx, method.negatives, method.crops, method.positives) == (16, 300, 16, 8)
    assert (method.k, method.k_test, method.lambda_neg, method.div, method.tau) == (50, 10, 5.0, 0.5, 1.0)
    assert method.recipe == Recipe(lr=0.002, epochs=30, batch=256, weight_decay=5e-4, warmup_lr=1e-5)
