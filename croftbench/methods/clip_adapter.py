"""CLIP-Adapter: a small bottleneck network on the image features, mixed with what went in.

CLIP-Adapter: Better Vision-Language Models with Feature Adapters, IJCV 2024, arXiv 2110.04544.

Two linear layers without bias, each with a ReLU behind it, are trained on frozen features:

    min over A, B:   CE( s z t^T, y )                                                                     (1)
    h = relu( relu( f A^T ) B^T ),    z = u( r h + (1-r) f )

    f      (N, D)     raw image features                            y      (N,)   labels
    A      (D/q, D)   into the bottleneck                           s             logit scale
    B      (D, D/q)   and out of it                                 r, q          `ratio`, `reduction`
    z      (N, D)     adapted image features                        t      (C, D) u(text features)
    u(x)              x / |x|, row by row

f is not brought to unit length first, and need not be: h grows with f, so the lengths drop out of z and of (1). A and B
start as PyTorch's linear layers do, with U(-1/sqrt(n), 1/sqrt(n)) of n inputs. h has no negative entries, so training
does not start at zero-shot CLIP unless r = 0. This is the authors' code (gaopengcuhk/CLIP-Adapter), which adapts
images; the paper also tries a text adapter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import UsageError
from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["CLIPAdapter", "adapt", "linear"]


def adapt(f: Tensor, A: Tensor, B: Tensor, ratio: float) -> Tensor:
    """z, (N, D)."""
    h = torch.relu(torch.relu(f @ A.T) @ B.T)
    return unit(ratio * h + (1 - ratio) * f)


def linear(outputs: int, inputs: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """The (outputs, inputs) weights that a PyTorch linear layer starts with, of the kind of `like`, to be trained."""
    W = (2 * torch.rand(outputs, inputs, generator=rng, dtype=like.dtype) - 1) / math.sqrt(inputs)
    return W.to(like.device).requires_grad_()


@dataclass(frozen=True)
class CLIPAdapter:
    """Hyper-parameters of CLIP-Adapter.

    Attributes:
        ratio: r, how much of an image feature is adapted; 0.2 in the published code.
        reduction: q, how many times narrower the bottleneck is.
        recipe: the optimiser.
    """

    ranges: ClassVar[Mapping[str, str]] = {"ratio": ">= 0, <= 1", "reduction": ">= 1"}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    # gaopengcuhk/CLIP-Adapter has its trainer alone; README.md: by CoOp's commands for ImageNet, which is CoOp's
    # configs/trainers/CoOp/*_ep50.yaml with the weight decay of Dassl.
    recipes: ClassVar[Recipes] = {"authors": {"epochs": 50, "weight_decay": 5e-4}, "croft-comparison": {}}

    ratio: float = 0.2
    reduction: int = 4
    recipe: Recipe = field(default_factory=Recipe)

    def fit(self, task: Task, /) -> Predictor:
        """Train for `recipe.epochs` and return the classifier with the last epoch's weights.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: a bottleneck of less than one, or of more than D.
        """
        D = task.text.shape[1]
        if not 1 <= self.reduction <= D:
            raise UsageError(f"clip-adapter's reduction is {self.reduction}, not in 1..{D}.", "Its default is 4.")
        s, r, rng, views = task.logit_scale, self.ratio, task.generator(), task.train.views
        t = unit(task.text.to(views.dtype))
        A, B = linear(D // self.reduction, D, views, rng), linear(D, D // self.reduction, views, rng)

        def loss(batch: Batch) -> Tensor:
            return cross_entropy(s * adapt(batch.features, A, B, r) @ t.T, batch.labels)  # (1)

        descend(task, self.recipe, [A, B], rng, loss)
        A, B = A.detach(), B.detach()

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = adapt(f, A, B, r)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(lambda names, text: unit(text.to(views.dtype)), predict, task.classnames, task.text)
