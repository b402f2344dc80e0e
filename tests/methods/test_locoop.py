"""LoCoOp: its loss written out, and CoOp where nothing is out of distribution."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from croftbench.method import Examples, Task, Towers
from croftbench.methods.coop import CoOp
from croftbench.methods.locoop import SCT, LoCoOp, mean_entropy
from croftbench.scorers.places import gl_mcm
from croftbench.training import Recipe, unit

NAMES = ("dog", "hot_dog", "bird", "fish", "cow")


class PlainTower:
    """The mean of all tokens, projected: something that depends on everything, and no more."""

    width = 4

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        self.projection = torch.randn(4, 6, generator=rng, dtype=torch.float64)
        self.rest = torch.randn(5, 2, 4, generator=rng, dtype=torch.float64)
        self.asked: list[str] = []

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        self.asked = list(texts)
        return self.rest, torch.ones(5, dtype=torch.long)

    def start(self) -> Tensor:
        return torch.ones(1, 4, dtype=torch.float64)

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        return (shared.sum(0) + rest.sum(1)) @ self.projection


@pytest.fixture
def task() -> Task:
    rng = torch.Generator().manual_seed(1)
    views = torch.randn(2, 12, 1 + 3, 6, generator=rng, dtype=torch.float64)
    labels = torch.arange(12) % 5
    examples = Examples(views, labels, torch.zeros_like(labels))
    return Task(NAMES, examples, None, torch.zeros(5, 6), 20.0, seed=3, towers=Towers(PlainTower()))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_entropy_written_out(k: int) -> None:
    """Four images of two places, three classes, in loops."""
    logits = 3 * torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = [2, 0, 1, 0]
    kept = []
    for i in range(4):
        for j in range(2):
            row = logits[i, j].tolist()
            q = [math.exp(x) / sum(map(math.exp, row)) for x in row]
            likeliest = sorted(range(3), key=lambda c: -row[c])[:k]
            if y[i] not in likeliest:
                kept.append(-sum(p * math.log(p + 1e-5) for p in q))
    found = mean_entropy(logits, torch.tensor(y), k).item()
    assert len(kept) < 8
    assert bool(kept) == (k < 3)
    assert found == pytest.approx(sum(kept) / len(kept) if kept else 0.0, rel=1e-12)


def classes(v: Tensor) -> Tensor:
    tower = PlainTower()
    return unit((1 + v.sum(0) + tower.rest.sum(1)) @ tower.projection)


def stepped(task: Task, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The logits after one step of rate 0.5 down a loss of the context, its gradient checked by differences."""
    v = 0.02 * torch.randn(2, 4, generator=task.generator(), dtype=torch.float64)  # what the task's stream starts with
    v.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(v), v)
    with torch.no_grad():
        for i in range(v.numel()):
            step = torch.zeros_like(v)
            step.view(-1)[i] = 1e-6
            by_differences = (loss(v + step) - loss(v - step)).item() / 2e-6
            assert gradient.flatten()[i].item() == pytest.approx(by_differences, rel=1e-6, abs=1e-8)
        return 20.0 * unit(task.train.views[0, :, 0]) @ classes(v - 0.5 * gradient).T


def places(t: Tensor, image: Tensor, y: int) -> list[Tensor]:
    """The entropies of an image's places that do not have y among their two likeliest classes."""
    q = [torch.softmax(20.0 * t @ unit(place), 0) for place in image[1:]]
    return [-(one * (one + 1e-5).log()).sum() for one in q if y not in one.topk(2).indices]


ONE = Recipe(epochs=1, batch=12, warmup_lr=0.5, weight_decay=0.0)


def test_a_step_written_out(task: Task, measured: Callable[..., None]) -> None:
    """Image by image and place by place."""

    def loss(v: Tensor) -> Tensor:
        t, known, outside = classes(v), [], []
        for image, y in zip(task.train.views[0], task.train.labels.tolist(), strict=True):
            known.append(-(20.0 * t @ unit(image[0])).log_softmax(0)[y])
            outside += places(t, image, y)
        assert outside
        return sum(known) / len(known) - 0.25 * sum(outside) / len(outside)

    found = LoCoOp(n_ctx=2, top=0.4, recipe=ONE).fit(task)(task.train.views[0])
    measured("locoop", found.logits, stepped(task, loss))
    torch.testing.assert_close(found.logits, 20.0 * found.features @ found.classes.T)


def test_a_step_of_sct_written_out(task: Task, measured: Callable[..., None]) -> None:
    """Image by image and place by place."""

    def loss(v: Tensor) -> Tensor:
        t, known, outside = classes(v), [], []
        for image, y in zip(task.train.views[0], task.train.labels.tolist(), strict=True):
            p = torch.softmax(20.0 * t @ unit(image[0]), 0)[y]
            known.append(-(1 + 1e-7 - p) * p.log())
            outside += [(1e-7 + p) * entropy for entropy in places(t, image, y)]
        assert outside
        return sum(known) / len(known) - 0.25 * sum(outside) / len(outside)

    found = SCT(n_ctx=2, top=0.4, recipe=ONE).fit(task)(task.train.views[0])
    measured("sct", found.logits, stepped(task, loss))
    torch.testing.assert_close(found.logits, 20.0 * found.features @ found.classes.T)
    assert "gl_mcm" in found.scores


def test_without_weight_it_is_coop(task: Task) -> None:
    recipe = Recipe(epochs=3, batch=4)
    whole = replace(task, train=replace(task.train, views=task.train.views[:, :, 0]))
    images = task.train.views[0]
    one = LoCoOp(n_ctx=2, lambda_ood=0.0, recipe=recipe).fit(task)(images)
    two = CoOp(n_ctx=2, recipe=recipe).fit(whole)(images[:, 0])
    torch.testing.assert_close(one.logits, two.logits, rtol=1e-9, atol=1e-9)
    other = LoCoOp(n_ctx=2, lambda_ood=1.0, recipe=recipe).fit(task)(images)
    assert not torch.allclose(one.logits, other.logits)


def test_k_is_a_share_of_the_classes(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "croftbench.methods.locoop.mean_entropy", lambda logits, y, k: asked.append(k) or logits.new_zeros(())
    )
    for top in (0.2, 0.4, 0.01):
        LoCoOp(n_ctx=2, top=top, recipe=Recipe(epochs=1, batch=12)).fit(task)
    assert asked == [1, 2, 1]
    assert task.towers.text.asked == ["dog.", "hot dog.", "bird.", "fish.", "cow."]


def test_its_score_is_gl_mcm(task: Task) -> None:
    images = task.train.views[1]
    outputs = LoCoOp(n_ctx=2, recipe=Recipe(epochs=1, batch=4)).fit(task)(images)
    expected = gl_mcm(outputs.features, unit(images[:, 1:]), outputs.classes)
    torch.testing.assert_close(outputs.scores["gl_mcm"], expected)
    assert torch.equal(outputs.features, unit(images[:, 0]))


def test_the_entropy_makes_the_kept_places_even() -> None:
    """Its gradient raises the entropy of what is kept and leaves the other places alone."""
    logits = torch.tensor([[[3.0, 0.0, 0.0], [0.0, 0.0, 3.0]]], dtype=torch.float64, requires_grad=True)
    mean_entropy(logits, torch.tensor([2]), 1).backward()
    assert logits.grad[0, 0, 0] < 0 < logits.grad[0, 0, 1]
    assert not logits.grad[0, 1].any()
