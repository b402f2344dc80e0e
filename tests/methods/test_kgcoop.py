"""KgCoOp: its objective in plain sums, and where it starts and goes."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from croftbench.errors import UsageError
from croftbench.method import Examples, Task
from croftbench.methods.coop import CoOp
from croftbench.methods.kgcoop import KgCoOp, objective
from croftbench.training import Recipe, unit


@pytest.fixture
def example() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit rows z (4, 5), t (3, 5) and e (3, 5), and labels y (4,)."""
    random = torch.Generator().manual_seed(0)
    z, t, e = (unit(torch.randn(n, 5, generator=random, dtype=torch.float64)) for n in (4, 3, 3))
    return z, t, e, torch.tensor([0, 2, 1, 2])


def by_hand(z: Tensor, t: Tensor, e: Tensor, y: Tensor, s: float, weight: float) -> float:
    images, classes = z.tolist(), t.tolist()
    total = 0.0
    for image, label in zip(images, y.tolist(), strict=True):
        odds = [math.exp(s * sum(a * b for a, b in zip(image, row, strict=True))) for row in classes]
        total -= math.log(odds[label] / sum(odds)) / len(images)
    for learned, written in zip(classes, e.tolist(), strict=True):
        total += weight / len(classes) * (1 - sum(a * b for a, b in zip(learned, written, strict=True)))
    return total


@pytest.mark.parametrize("weight", [0.0, 8.0])
def test_the_objective_in_plain_sums(example: tuple[Tensor, Tensor, Tensor, Tensor], weight: float) -> None:
    z, t, e, y = example
    assert objective(z, t, e, y, 10.0, weight).item() == pytest.approx(by_hand(z, t, e, y, 10.0, weight), rel=1e-12)


def test_twice_the_weight_is_the_papers_squared_distance(example: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    z, t, e, y = example
    papers = objective(z, t, e, y, 10.0, 0.0) + 8 * (t - e).square().sum(1).mean()
    assert torch.allclose(objective(z, t, e, y, 10.0, 16.0), papers)


def test_it_starts_as_the_hand_written_prompts_at_no_distance(tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    few = Examples(task.train.views[:1, :4], task.train.labels[:4], task.train.domains[:4])
    reported: list[float] = []
    watched = replace(task, train=few, on_epoch=lambda epoch, epochs, loss: reported.append(loss))
    outputs = KgCoOp(recipe=Recipe(epochs=0)).fit(watched)(few.views[0])
    assert outputs.classes is not None
    assert torch.allclose(outputs.classes, unit(task.text), atol=1e-12)
    KgCoOp(recipe=Recipe(epochs=1)).fit(watched)
    e = unit(task.text)
    assert reported == [pytest.approx(by_hand(unit(few.views[0]), e, e, few.labels, 20.0, 8.0), rel=1e-9)]


def test_two_epochs_restated(tiny: Any, tiny_task: Callable[..., Task], measured: Callable[..., None]) -> None:
    """open_clip text by text, and SGD by hand."""
    task = tiny_task()
    rng, e, image = task.generator(), unit(task.text), task.train.views[0]
    written = [f"a photo of a {name.replace('_', ' ')}." for name in task.classnames]

    def texts(v: Tensor) -> Tensor:
        prompts = [torch.cat([tiny.embed(text)[:1], v, tiny.embed(text)[5:]]) for text in written]
        ends = [tiny.tokens(text) + 1 for text in written]
        return unit(torch.stack([tiny.read(*one) for one in zip(prompts, ends, strict=True)]))

    v = tiny.embed("a photo of a")[1:5]
    velocity = torch.zeros_like(v)
    for epoch, rate in enumerate((1e-5, 0.05)):
        rows, at = torch.randperm(12, generator=rng)[:8], v.clone().requires_grad_()
        t, loss = texts(at), torch.zeros((), dtype=torch.float64)
        for f, y in zip(task.train.views[epoch][rows], task.train.labels[rows], strict=True):
            loss = loss - (20.0 * t @ f / f.norm()).log_softmax(0)[y] / 8
        loss = loss + 8.0 * sum(1 - t[c] @ e[c] for c in range(3)) / 3
        velocity = 0.9 * velocity + torch.autograd.grad(loss, at)[0] + 0.1 * v
        v = v - rate * velocity
    method = KgCoOp(recipe=Recipe(lr=0.05, epochs=2, batch=8, weight_decay=0.1))
    measured("kgcoop", method.fit(task)(image).logits, 20.0 * unit(image) @ texts(v).T)


def test_a_larger_weight_stays_nearer_and_none_is_coop(tiny_task: Callable[..., Task]) -> None:
    task, recipe = tiny_task(), Recipe(lr=0.05, epochs=3, batch=12)

    def drift(weight: float) -> float:
        t = KgCoOp(weight=weight, recipe=recipe).fit(task)(task.train.views[0]).classes
        assert t is not None
        return float((t - unit(task.text)).norm())

    assert drift(100.0) < 0.8 * drift(8.0) < 0.8 * drift(0.0)
    image = task.train.views[0]
    plain = CoOp(words="a photo of a", recipe=recipe).fit(task)(image).logits
    assert torch.allclose(KgCoOp(weight=0.0, recipe=recipe).fit(task)(image).logits, plain, atol=1e-10)


def test_permuting_classes_permutes_logits(tiny_task: Callable[..., Task]) -> None:
    method = KgCoOp(words="", recipe=Recipe(epochs=2, batch=6))
    order = (2, 0, 1)
    image = tiny_task().train.views[1]
    one, other = method.fit(tiny_task())(image).logits, method.fit(tiny_task(order))(image).logits
    assert torch.allclose(other, one[:, order], atol=1e-9)


def test_an_unusable_context_is_one_clear_line(tiny_task: Callable[..., Task]) -> None:
    with pytest.raises(ValueError, match="n_ctx must be 1 or more"):
        KgCoOp(n_ctx=0)
    with pytest.raises(UsageError, match=r"the text tower reads 24.*--set n_ctx"):
        KgCoOp(n_ctx=20, words="").fit(tiny_task())
