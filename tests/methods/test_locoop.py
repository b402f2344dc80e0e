"""LoCoOp: its loss written out, and CoOp where nothing is out of distribution."""

import math
from collections.abc import Sequence
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


def test_a_step_written_out(task: Task) -> None:
    """One step of one batch, its gradient by differences."""
    tower = PlainTower()
    v = 0.02 * torch.randn(2, 4, generator=task.generator(), dtype=torch.float64)  # what the task's stream starts with

    def classes(v: Tensor) -> Tensor:
        return unit((1 + v.sum(0) + tower.rest.sum(1)) @ tower.projection)

    def loss(v: Tensor) -> Tensor:
        logits = 20.0 * unit(task.train.views[0]) @ classes(v).T
        ce = torch.nn.functional.cross_entropy(logits[:, 0], task.train.labels)
        return ce - 0.25 * mean_entropy(logits[:, 1:], task.train.labels, 2)

    gradient = torch.zeros_like(v)
    for i in range(v.numel()):
        step = torch.zeros_like(v)
        step.view(-1)[i] = 1e-6
        gradient.view(-1)[i] = (loss(v + step) - loss(v - step)) / 2e-6
    recipe = Recipe(epochs=1, batch=12, warmup_lr=0.5, weight_decay=0.0)
    found = LoCoOp(n_ctx=2, top=0.4, recipe=recipe).fit(task)(task.train.views[0])
    t = classes(v - 0.5 * gradient)
    torch.testing.assert_close(found.classes, t, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found.logits, 20.0 * unit(task.train.views[0, :, 0]) @ t.T, rtol=1e-6, atol=1e-6)


def test_a_step_of_sct_written_out(task: Task) -> None:
    """Image by image and place by place, its gradient by differences."""
    tower = PlainTower()
    v = 0.02 * torch.randn(2, 4, generator=task.generator(), dtype=torch.float64)

    def classes(v: Tensor) -> Tensor:
        return unit((1 + v.sum(0) + tower.rest.sum(1)) @ tower.projection)

    def loss(v: Tensor) -> Tensor:
        t, known, outside = classes(v), [], []
        for image, y in zip(task.train.views[0], task.train.labels.tolist(), strict=True):
            p = torch.softmax(20.0 * t @ unit(image[0]), 0)[y]
            known.append(-(1 + 1e-7 - p) * p.log())
            for place in image[1:]:
                q = torch.softmax(20.0 * t @ unit(place), 0)
                if y not in q.topk(2).indices:
                    outside.append(-(1e-7 + p) * (q * (q + 1e-5).log()).sum())
        assert outside
        return sum(known) / len(known) - 0.25 * sum(outside) / len(outside)

    gradient = torch.zeros_like(v)
    for i in range(v.numel()):
        step = torch.zeros_like(v)
        step.view(-1)[i] = 1e-6
        gradient.view(-1)[i] = (loss(v + step) - loss(v - step)) / 2e-6
    recipe = Recipe(epochs=1, batch=12, warmup_lr=0.5, weight_decay=0.0)
    outputs = SCT(n_ctx=2, top=0.4, recipe=recipe).fit(task)(task.train.views[0])
    torch.testing.assert_close(outputs.classes, classes(v - 0.5 * gradient), rtol=1e-6, atol=1e-8)
    assert "gl_mcm" in outputs.scores


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
