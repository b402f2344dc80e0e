"""GalLoP against open_clip's text tower run prompt by prompt, places sorted by hand, and SGD by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from croftbench.method import Task
from croftbench.methods.gallop import GalLoP, top_places
from croftbench.training import Recipe

S, DECAY = 20.0, 0.01
RATES = (0.02, 0.01)  # of a cosine over two epochs, from the first one on
RECIPE = Recipe(lr=0.02, epochs=2, batch=8, weight_decay=DECAY, warmup=0)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def images(task: Task, view: int = 0) -> Tensor:
    return task.train.batch(view, torch.arange(12))


def texts(tiny, names, contexts: Tensor) -> Tensor:
    """(n, C, D) of prompts without a full stop."""
    rows = []
    for context in contexts:
        for name in (one.replace("_", " ") for one in names):
            e = tiny.embed(name)
            prompt = torch.cat([e[:1], context, e[1 : -len(context)]])
            rows.append(tiny.read(prompt, len(context) + tiny.tokens(name) + 1))
    return unit(torch.stack(rows)).unflatten(0, (len(contexts), -1))


def likeliest(q: Tensor, row: Tensor, k: int) -> Tensor:
    """Mean of the k largest cosines of one image's places with one class."""
    return torch.stack(sorted((q @ row).unbind(), key=lambda x: float(x.detach()), reverse=True)[:k]).mean()


def of_image(task: Task, image: Tensor, mapped: Callable[[Tensor], Tensor], t: Tensor, w: Tensor, kept: list[int]):
    """What one image's classes get of its contexts (C,), and of each context for places (n, C)."""
    z, q = unit(image[0]), unit(mapped(image[1:]))
    whole = torch.stack([sum(z @ t[i, c] for i in kept) / len(kept) for c in range(3)])
    places = torch.stack([torch.stack([likeliest(q, row, j + 1) for row in w[j]]) for j in range(len(w))])
    return whole, places


@pytest.fixture
def orthogonal() -> Tensor:
    return torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q


@pytest.mark.parametrize("variant", ["correct", "official"])
@pytest.mark.parametrize("before", [False, True], ids=["behind the projection", "before an orthogonal one"])
def test_two_epochs_restated(tiny, place_task, measured, orthogonal, variant, before):
    """Three contexts for images, two of which an image keeps; two for places, of the first and of the first two."""
    task, rng = place_task, place_task.generator()
    words = tiny.embed("a photo of a")[1:5]
    flat = [words.repeat(3, 1, 1), words.repeat(2, 1, 1), torch.eye(16, dtype=torch.float64)]

    def mapped(A: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda p: (p @ orthogonal.T) @ A.T @ orthogonal if before else p @ A.T

    speed, losses = [torch.zeros_like(x) for x in flat], []
    for epoch, rate in enumerate(RATES):
        rows = torch.randperm(12, generator=rng)[:8]
        if variant == "official":
            kept = torch.randint(3, (8, 2), generator=rng).tolist()
        else:
            kept = [row.argsort()[:2].tolist() for row in torch.rand(8, 3, generator=rng)]
        leaves = [x.requires_grad_() for x in flat]
        v, w, A = leaves
        t, local = (texts(tiny, task.classnames, contexts) for contexts in (v, w))
        loss = torch.zeros((), dtype=torch.float64)
        for image, y, own in zip(images(task, epoch)[rows], task.train.labels[rows].tolist(), kept, strict=True):
            whole, places = of_image(task, image, mapped(A), t, local, own)
            for logits, share in ((S * whole, 8), *((S * row, 16) for row in places)):
                loss = loss + ((logits.exp().sum()).log() - logits[y]) / share
        losses.append(loss.item())
        grads = torch.autograd.grad(loss, leaves)
        flat = [x.detach() for x in leaves]
        speed = [0.9 * u + g + DECAY * x for u, g, x in zip(speed, grads, flat, strict=True)]
        flat = [x - rate * u for x, u in zip(flat, speed, strict=True)]
    reported: list[float] = []
    watched = replace(task, on_epoch=lambda *at: reported.append(at[2]))
    method = GalLoP(n_global=3, n_local=2, k=1, dropout=0.5, tau=0.1, variant=variant, recipe=RECIPE)
    found = method.fit(watched)(images(task))
    assert reported == pytest.approx(losses, rel=1e-12)
    v, w, A = flat
    with torch.no_grad():
        t, local = (texts(tiny, task.classnames, contexts) for contexts in (v, w))
        logits, scores = [], []
        for image in images(task):
            whole, places = of_image(task, image, mapped(A), t, local, [0, 1, 2])
            logits.append(S * (whole + places.mean(0)) / 2)
            everywhere = unit(mapped(A)(image[1:])) @ local.mean(0).T
            m = torch.softmax(whole / 0.1, 0).max() + torch.softmax(everywhere / 0.1, 1).max()
            scores.append(math.log(m / 2) - math.log(1 - m / 2) + math.log(2))
    measured("gallop", found.logits, torch.stack(logits))
    assert found.scores["gl_mcm"].tolist() == pytest.approx(scores, rel=1e-10)
    assert torch.equal(found.features, unit(images(task)[:, 0])) and found.classes is None


def test_k_stops_at_all_places(place_task):
    q, t = unit(images(place_task)[:, 1:]), unit(place_task.text).expand(3, -1, -1)
    two, four, six = top_places(q, t, 2)
    assert torch.equal(four, six) and not torch.allclose(two, four)
    torch.testing.assert_close(four, (q @ t[0].T).mean(1))


@pytest.mark.parametrize(("m", "dropout", "count"), [(4, 0.75, 1), (4, 0.5, 2), (4, 0.0, 4), (4, 1.0, 1), (1, 0.75, 1)])
def test_how_many_contexts_an_image_keeps(m, dropout, count):
    method, rng = GalLoP(n_global=m, dropout=dropout), torch.Generator().manual_seed(0)
    kept, official = method.kept(200, rng), replace(method, variant="official").kept(200, rng)
    assert kept.shape == official.shape == (200, count)
    assert all(len(set(row)) == count for row in kept.tolist())
    assert set(kept.flatten().tolist()) == set(official.flatten().tolist()) == set(range(m))
    assert any(len(set(row)) < count for row in official.tolist()) == (count > 1)


def test_dropout_tells_contexts_of_images_apart_and_scale_those_of_places(place_task):
    def spread(**changed) -> tuple[float, float]:
        seen: list[Tensor] = []
        tower = place_task.towers.text
        encode = tower.encode

        class Watched:
            def __getattr__(self, name):
                return getattr(tower, name)

            def encode(self, shared, *rest):
                seen.append(shared.detach())
                return encode(shared, *rest)

        task = replace(place_task, towers=type(place_task.towers)(Watched()))
        GalLoP(n_global=3, n_local=2, recipe=RECIPE, **changed).fit(task)
        return tuple(max((a - b).abs().max().item() for a, b in pairwise(x)) for x in seen[-2:])

    images_apart, places_apart = spread(k=1)
    assert min(images_apart, places_apart) > 1e-6
    images_apart, places_apart = spread(k=3, dropout=0.0)
    assert max(images_apart, places_apart) < 1e-12


def test_the_order_of_places_does_not_matter_and_other_names_can_be_told_apart(place_task):
    f, predictor = images(place_task), GalLoP(k=1, recipe=RECIPE).fit(place_task)
    found = predictor(f)
    turned = predictor(f[:, [0, 3, 1, 2]])
    torch.testing.assert_close(turned.logits, found.logits)
    torch.testing.assert_close(turned.scores["gl_mcm"], found.scores["gl_mcm"])
    renamed = predictor.with_classes((place_task.classnames[2], place_task.classnames[0]), place_task.text[[2, 0]])
    torch.testing.assert_close(renamed(f).logits, found.logits[:, [2, 0]])


def test_published_defaults():
    method = GalLoP()
    assert (method.n_global, method.n_local, method.dropout, method.words) == (4, 4, 0.75, "a photo of a")
    assert [method.k * j for j in (1, 2, 3, 4)] == [5, 10, 15, 20] and method.tau == 1.0
    assert method.recipe == Recipe(lr=0.002, epochs=200, batch=32, momentum=0.9, weight_decay=0.01, warmup=0)
    with pytest.raises(ValueError, match="words must not be empty"):
        GalLoP(words="")
