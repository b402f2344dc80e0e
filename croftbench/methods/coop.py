"""CoOp: the words around the class names are learned.

Learning to Prompt for Vision-Language Models, IJCV 2022, arXiv 2109.01134.

One context of M vectors, shared by all classes, takes the place of "a photo of a". Both towers stay frozen:

    min over v:   CE( s z t(v)^T, y )                                                                     (1)
    t_c(v) = u( g( [SOS] v_1 ... v_M  <name of c>.  [EOS] ) )

    v      (M, W)  learned context, starts as N(0, 0.02^2)          y   (B,)    labels
    g              frozen text tower, read at [EOS]                 s           logit scale
    f      (B, D)  raw image features                               u(x)        x / |x|, row by row
    z      (B, D)  u(f)                                             t   (C, D)  class features

This is the paper's unified context with the class name at the end. Other positions and one context a class would be
other values of `shared` and `rest` in `prompts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Task, TextTower
from croftbench.training import Recipe, batches, mean_loss, sgd, unit

__all__ = ["CoOp", "class_features", "prompts"]

STD = 0.02


def prompts(tower: TextTower, classnames: tuple[str, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """What stands around the context: [SOS] (1, W); "<name>. [EOS]" (C, L, W) with [EOS] at (C,)."""
    return tower.start(), *tower.tokens([f"{name.replace('_', ' ')}." for name in classnames])


def class_features(tower: TextTower, v: Tensor, around: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """t(v), (C, D)."""
    start, rest, end = around
    return unit(tower.encode(torch.cat([start, v]), rest, end))


@dataclass(frozen=True)
class CoOp:
    """Hyper-parameters of CoOp.

    Attributes:
        n_ctx: M, context vectors.
        recipe: the optimiser; the published code runs it in half precision, here it is float32.
    """

    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1

    n_ctx: int = 16
    recipe: Recipe = field(default_factory=Recipe)

    def fit(self, task: Task, /) -> Predictor:
        """Train the context for `recipe.epochs` and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower = task.towers.text
        around = prompts(tower, task.classnames)
        s, rng = task.logit_scale, task.generator()
        v = STD * torch.randn(self.n_ctx, tower.width, generator=rng, dtype=around[0].dtype)
        v = v.to(task.device).requires_grad_()
        optimizer = sgd([v], self.recipe)
        for epoch in range(self.recipe.epochs):
            optimizer.param_groups[0]["lr"] = self.recipe.lr_at(epoch)
            losses = []
            for batch in batches(task.train, epoch, self.recipe.batch, rng):
                loss = cross_entropy(s * unit(batch.features) @ class_features(tower, v, around).T, batch.labels)  # (1)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.detach())
            mean_loss(losses, epoch, task, self.recipe.epochs)
        return Learned(tower, v.detach(), task.classnames, s)


@dataclass(frozen=True)
class Learned:
    """The classifier of a learned context; the context goes with any class names."""

    tower: TextTower
    v: Tensor
    classnames: tuple[str, ...]
    s: float

    @cached_property
    def t(self) -> Tensor:
        """(C, D) class features."""
        with torch.no_grad():
            return class_features(self.tower, self.v, prompts(self.tower, self.classnames))

    def __call__(self, f: Tensor, /) -> Outputs:
        """Cosines with the class features."""
        z = unit(f)
        return Outputs(logits=self.s * z @ self.t.T, features=z)

    def with_classes(self, classnames: tuple[str, ...], text: Tensor, /) -> Learned:
        """The learned context before other names."""
        return replace(self, classnames=classnames)
