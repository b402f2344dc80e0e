"""How a method is optimised, and the one loop around it.

Source: the defaults are the optimiser settings of LinLLLL/CRoFT (ICML 2024), inherited from CoOp and Dassl; the
schedule by step is that of gaopengcuhk/Tip-Adapter (main.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from croftbench.errors import DataError, TrainingError
from croftbench.method import Examples, Outputs, Task, later

__all__ = [
    "SGD",
    "Batch",
    "Optimiser",
    "Recipe",
    "Renaming",
    "batches",
    "descend",
    "images_per_class",
    "mean_loss",
    "optimiser",
    "train",
    "unit",
]

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """How a method is optimised; fields are hyper-parameters and recorded with the run.

    Attributes:
        lr: base learning rate.
        epochs: passes over the training images.
        batch: images per step.
        momentum: of SGD (no Nesterov, no dampening); Adam's and AdamW's first beta.
        weight_decay: 0.1 is what CRoFT's published configuration really uses (Dassl's default there). AdamW keeps it
            out of the gradient.
        warmup_lr: constant learning rate of the warm-up.
        optimiser: PyTorch's of that name.
        beta2, eps: of Adam and AdamW; PyTorch's defaults.
        schedule: a cosine that falls from "epoch" to epoch, or from "step" to step; or "constant".
        warmup: epochs of warm-up; the cosine is counted from there.
        keep_last: whether the last, incomplete batch of an epoch trains too.
        last_lr: what the cosine falls towards.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "lr": "> 0", "epochs": ">= 1", "batch": ">= 1", "momentum": ">= 0, < 1", "weight_decay": ">= 0",
        "warmup_lr": ">= 0", "beta2": ">= 0, < 1", "eps": "> 0", "warmup": ">= 0", "last_lr": ">= 0",
    }  # fmt: skip

    lr: float = 0.002
    epochs: int = 30
    batch: int = 32
    momentum: float = 0.9
    weight_decay: float = 0.1
    warmup_lr: float = 1e-5
    optimiser: Literal["sgd", "adam", "adamw"] = later("sgd")
    beta2: float = later(0.999)
    eps: float = later(1e-8)
    schedule: Literal["epoch", "step", "constant"] = later("epoch")
    warmup: int = later(1)
    keep_last: bool = later(False)
    last_lr: float = later(0.0)

    def lr_at(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """Learning rate of one of an epoch's steps: that of the warm-up, then of the schedule, counted from there.

        The cosine keeps T_max = epochs, so the last epoch's rate is small but not zero.
        """
        if epoch < self.warmup:
            return self.warmup_lr
        if self.schedule == "constant":
            return self.lr
        done = epoch - self.warmup + (step / steps if self.schedule == "step" else 0)
        return self.last_lr + 0.5 * (self.lr - self.last_lr) * (1 + math.cos(math.pi * done / self.epochs))


@dataclass(frozen=True)
class Batch:
    """One step's images: what `Needs.image` says, such as raw features (B, D); labels (B,), domains (B,).

    Attributes:
        frozen: (B, D) raw features of the same augmented images by the frozen encoder, as `Examples.views` has them;
            None where a batch was made by hand.
    """

    features: Tensor
    labels: Tensor
    domains: Tensor
    frozen: Tensor | None = None


def batch_sizes(images: int, size: int, keep_last: bool = False) -> list[int]:
    """How many images each step of an epoch takes; a set that is smaller than a batch is one batch."""
    full, rest = divmod(images, size)
    return [size] * full + ([rest] if rest and (keep_last or not full) else [])


def batches(
    examples: Examples, epoch: int, size: int, rng: torch.Generator, keep_last: bool = False
) -> Iterator[Batch]:
    """Shuffled batches of an epoch's view; the last incomplete one is dropped unless `keep_last`, or the only one."""
    view = epoch % len(examples.views)
    order = torch.randperm(len(examples), generator=rng).to(examples.labels.device)
    sizes = batch_sizes(len(examples), size, keep_last)
    for chosen in torch.split(order[: sum(sizes)], sizes):
        whole = examples.views[view][chosen]
        features = whole if examples.read is None else examples.batch(view, chosen)
        yield Batch(features, examples.labels[chosen], examples.domains[chosen], whole)


class Optimiser(Protocol):
    """What a loop needs of an optimiser; PyTorch's own have it."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def step(self) -> Any:
        """Move the weights that have a gradient."""


class SGD:
    """torch.optim.SGD to the last bit, without the compiler that the first `torch.optim` optimiser imports (1.4 s).

    v <- momentum v + (gradient + weight_decay w); w <- w - lr v; v starts as the first gradient.

    Args:
        weights: leaf tensors; one without a gradient stays as it is, decay and momentum included.
    """

    def __init__(self, weights: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"params": weights, "lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        ]
        self._velocity: dict[int, Tensor] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self.param_groups[0]["params"]:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the weights that have a gradient."""
        group = self.param_groups[0]
        for place, weight in enumerate(group["params"]):
            if weight.grad is None:
                continue
            pull = weight.grad.add(weight, alpha=group["weight_decay"]) if group["weight_decay"] else weight.grad
            if group["momentum"]:
                old = self._velocity.get(place)
                pull = self._velocity[place] = pull.clone() if old is None else old.mul_(group["momentum"]).add_(pull)
            weight.add_(pull, alpha=-group["lr"])


def optimiser(parameters: Iterable[Tensor], recipe: Recipe) -> Optimiser:
    """The recipe's optimiser at its first rate; `train` sets the others."""
    weights, lr, decay = list(parameters), recipe.lr_at(0), recipe.weight_decay
    if recipe.optimiser == "sgd":
        return SGD(weights, lr, recipe.momentum, decay)
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    betas = (recipe.momentum, recipe.beta2)
    return kind(weights, lr=lr, betas=betas, eps=recipe.eps, weight_decay=decay)


def images_per_class(task: Task, method: str) -> Tensor:
    """(C,) training images of each class, for a method that needs one of every class.

    Raises:
        DataError: a class has none.
    """
    counts = torch.bincount(task.train.labels, minlength=len(task.classnames))
    missing = [name for name, count in zip(task.classnames, counts.tolist(), strict=True) if not count]
    if missing:
        raise DataError(
            f"{method} has no training image of {len(missing)} of {len(counts)} classes, '{missing[0]}' first.",
            "Give every class at least one, or choose another method.",
        )
    return counts


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


def train(
    task: Task, recipe: Recipe, optimisers: Sequence[Optimiser], rng: torch.Generator,
    step: Callable[[Batch], Tensor],
) -> None:  # fmt: skip
    """The recipe's epochs over the task's training images, at its rates.

    Args:
        task: its training images, and where each epoch's loss is reported.
        recipe: its epochs, batches and rates.
        optimisers: whose rates are set before each step.
        rng: shuffles the images; `step` may draw from it too.
        step: trains on a batch; its loss, a scalar without a gradient.

    Raises:
        TrainingError: an epoch's mean loss is not finite.
    """
    steps = len(batch_sizes(len(task.train), recipe.batch, recipe.keep_last))
    for epoch in range(recipe.epochs):
        losses = []
        for i, batch in enumerate(batches(task.train, epoch, recipe.batch, rng, recipe.keep_last)):
            for group in (group for one in optimisers for group in one.param_groups):
                group["lr"] = recipe.lr_at(epoch, i, steps)
            losses.append(step(batch))
        mean_loss(losses, epoch, task, recipe.epochs)


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
    of_weights = optimiser(weights, recipe)

    def step(batch: Batch) -> Tensor:
        value = loss(batch)
        of_weights.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        of_weights.step()
        return value.detach()

    train(task, recipe, [of_weights], rng, step)


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
