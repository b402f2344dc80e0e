"""LP++: a linear probe on the images plus the text features, each class with its own weight; steps without a search.

LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP, CVPR 2024, arXiv 2404.02285.

    min over W, b, alpha:   CE( z W^T + b + alpha * (z t^T), y )                                          (1)

    f      (N, D)  raw features, one view of each image   W      (C, D)  starts as the sums of each class's z
    z      (N, D)  u(f)                                   b      (C,)    starts at random, in [-1, 1] / sqrt(D)
    t      (C, D)  u(text features)                       alpha  (C,)    starts as 250 mean_c (mean cosine of the
    y      (N,)    labels                                                images of class c with t_c), for all
    u(x)           x / |x|, row by row

Gradient descent on all images at once, with steps that bounds on the curvature of (1) give:

    step of W and b   4 N / (largest eigenvalue of z^T z), momentum 0.9                                   (2)
    step of alpha     N / (4 max_c sum_i (z_i t_c)^2), once every ten epochs                              (3)

Published: FereshteShakeri/FewShot-CLIP-Strong-Baseline, methods/linear_probe_p2.py. There is no logit scale in (1);
alpha stands for it. The published code keeps the epoch that is right most often on validation images, the last of
equals: `pick`, which reads `Task.val`. Else, and where a suite has no validation images, it is the last epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import SGD, images_per_class, mean_loss, unit

__all__ = ["LPPlusPlus"]

Weights = tuple[Tensor, Tensor, Tensor]
"""W, b and alpha."""


def logits(z: Tensor, t: Tensor, weights: Weights) -> Tensor:
    """What (1) takes the cross entropy of, (N, C)."""
    W, b, alpha = weights
    return z @ W.T + b + alpha * (z @ t.T)


def start(z: Tensor, y: Tensor, t: Tensor, counts: Tensor, rng: torch.Generator) -> Weights:
    """The weights before training; `counts` (C,) are the images of each class."""
    C, D = t.shape
    W = torch.zeros_like(t).index_add_(0, y, z)
    b = ((2 * torch.rand(C, generator=rng, dtype=torch.float64) - 1) / math.sqrt(D)).to(t)
    own = torch.zeros_like(t[:, 0]).index_add_(0, y, (z * t[y]).sum(1)) / counts
    return W, b, (250 * own.mean()).expand(C).clone()


@dataclass(frozen=True)
class LPPlusPlus:
    """Hyper-parameters of LP++; the steps follow from the images.

    Attributes:
        epochs: steps, each on all images.
        momentum: of W and b.
        every: epochs between steps of alpha.
        pick: keep the epoch that is right most often on validation images.
    """

    ranges: ClassVar[Mapping[str, str]] = {"epochs": ">= 1", "momentum": ">= 0, < 1", "every": ">= 1"}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {"pick": True}, "croft-comparison": {}}  # CRoFT does not compare with it

    epochs: int = 300
    momentum: float = 0.9
    every: int = 10
    pick: bool = False

    def fit(self, task: Task, /) -> Predictor:
        """Descend for `epochs` and return the classifier.

        Raises:
            DataError: a class without a training image.
            TrainingError: a loss is not finite.
        """
        counts = images_per_class(task, "lp-plus-plus")
        z, y = unit(task.train.views[0]), task.train.labels
        t = unit(task.text.to(z.dtype))
        W, b, alpha = weights = start(z, y, t, counts, task.generator())
        for weight in weights:
            weight.requires_grad_()
        step = 4 * len(z) / torch.linalg.eigvalsh((z.T @ z).double())[-1].item()  # (2)
        step_alpha = len(z) / (4 * (z @ t.T).square().sum(0).amax())  # (3)
        by = SGD([W, b], step, self.momentum, weight_decay=0.0)
        best, most = weights, -1
        for epoch in range(self.epochs):
            loss = cross_entropy(logits(z, t, weights), y)
            for weight in weights:
                weight.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            by.step()
            if (epoch + 1) % self.every == 0 and alpha.grad is not None:
                with torch.no_grad():
                    alpha.sub_(step_alpha * alpha.grad)
            mean_loss([loss.detach()], epoch, task, self.epochs)
            if self.pick and task.val is not None:
                with torch.no_grad():
                    seen = logits(unit(task.val.views[0]), t, weights).argmax(1)
                if (right := int((seen == task.val.labels).sum())) >= most:  # the last of equals, as published
                    most, best = right, (W.detach().clone(), b.detach().clone(), alpha.detach().clone())
        W, b, alpha = (weight.detach() for weight in best)

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=logits(z, t, (W, b, alpha)), features=z)

        return predict
