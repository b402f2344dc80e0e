"""The SGD recipe that CRoFT's code and its baselines share, and the loop around it.

Source: the optimiser settings of LinLLLL/CRoFT (ICML 2024), inherited from CoOp and Dassl.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from croftbench.errors import TrainingError
from croftbench.method import Examples, Outputs, Task

__all__ = ["Batch", "Recipe", "Renaming", "batches", "descend", "mean_loss", "sgd", "unit"]

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """How a method is optimised; fields are hyper-parameters and recorded with the run.

    Attributes:
        lr: base learning rate.
        epochs: passes over the training images.
        batch: images per step.
        momentum: SGD momentum (no Nesterov, no dampening).
        weight_decay: 0.1 is what the published configuration really uses (Dassl's default there).
        warmup_lr: constant learning rate of the first epoch.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "lr": "> 0", "epochs": ">= 1", "batch": ">= 1", "momentum": ">= 0, < 1", "weight_decay": ">= 0",
        "warmup_lr": ">= 0",
    }  # fmt: skip

    lr: float = 0.002
    epochs: int = 30
    batch: int = 32
    momentum: float = 0.9
    weight_decay: float = 0.1
    warmup_lr: float = 1e-5

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch: one constant warm-up epoch, then a cosine counted from there.

        The cosine keeps T_max = epochs, so the last epoch's rate is small but not zero.
        """
        if epoch == 0:
            return self.warmup_lr
        return 0.5 * self.lr * (1 + math.cos(math.pi * (epoch - 1) / self.epochs))


@dataclass(frozen=True)
class Batch:
    """One step's images: features (B, D) raw, or (B, 1 + P, D) with patches; labels (B,), domains (B,)."""

    features: Tensor
    labels: Tensor
    domains: Tensor


def batches(examples: Examples, epoch: int, size: int, rng: torch.Generator) -> Iterator[Batch]:
    """Shuffled batches of an epoch's view; the last incomplete one is dropped unless it is the only one."""
    view = epoch % len(examples.views)
    order = torch.randperm(len(examples), generator=rng).to(examples.labels.device)
    full = len(order) // size * size
    for chosen in torch.split(order[: full or None], size):
        yield Batch(examples.batch(view, chosen), examples.labels[chosen], examples.domains[chosen])


def sgd(parameters: Iterable[Tensor], recipe: Recipe) -> torch.optim.SGD:
    """The published optimiser; set each epoch's rate with `recipe.lr_at`."""
    return torch.optim.SGD(
        list(parameters), lr=recipe.lr_at(0), momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )


def mean_loss(losses: list[Tensor], epoch: int, task: Task, epochs: int) -> float:
    """Mean of an epoch's losses, reported to the task.

    Raises:
        TrainingError: the mean is not finite.
    """
    value = torch.stack(losses).mean().item()
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value} in epoch {epoch + 1} of {epochs}.", "Try a smaller --set lr= or loss weight."
        )
    task.on_epoch(epoch, epochs, value)
    return value


def descend(
    task: Task, recipe: Recipe, weights: Iterable[Tensor], rng: torch.Generator, loss: Callable[[Batch], Tensor]
) -> None:
    """Minimise a loss over the task's training images, in place: the recipe's optimiser, schedule and epochs.

    Args:
        task: its training images, and where each epoch's loss is reported.
        recipe: of the optimiser.
        weights: leaf tensors that require gradients.
        rng: shuffles the images; `loss` may draw from it too.
        loss: a batch's loss, a scalar.

    Raises:
        TrainingError: an epoch's mean loss is not finite.
    """
    optimizer = sgd(weights, recipe)
    for epoch in range(recipe.epochs):
        optimizer.param_groups[0]["lr"] = recipe.lr_at(epoch)
        losses = []
        for batch in batches(task.train, epoch, recipe.batch, rng):
            value = loss(batch)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(value.detach())
        mean_loss(losses, epoch, task, recipe.epochs)


def unit(x: Tensor, eps: float = 0.0) -> Tensor:
    """Rows of x divided by (their Euclidean norm + eps)."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / (norm + eps)


class Renaming(Generic[T]):
    """A predictor that is made of what class names give, and so can be made of other names: a `method.Renamable`.

    Args:
        prepare: (classnames, text (C, D)) -> what `predict` needs of them, such as class features.
        predict: (features, that) -> Outputs.
        classnames, text: of the task.
    """

    def __init__(
        self, prepare: Callable[[tuple[str, ...], Tensor], T], predict: Callable[[Tensor, T], Outputs],
        classnames: tuple[str, ...], text: Tensor,
    ) -> None:  # fmt: skip
        self._prepare, self._predict = prepare, predict
        with torch.no_grad():
            self._prepared = prepare(classnames, text)

    def __call__(self, features: Tensor, /) -> Outputs:
        """The outputs for these images."""
        return self._predict(features, self._prepared)

    def with_classes(self, classnames: tuple[str, ...], text: Tensor, /) -> Renaming[T]:
        """The same for other classes."""
        return Renaming(self._prepare, self._predict, classnames, text)
