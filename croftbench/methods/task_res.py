"""TaskRes: a residual added to each class's text feature, learned apart from it.

Task Residual for Tuning Vision-Language Models, CVPR 2023, arXiv 2211.10277. Code of the authors: geekyutao/TaskRes.

The zero-shot classifier is kept, and something of the same shape is added to it that owes it nothing:

    min over x:   CE( s z t(x)^T, y )                                                                     (1)
    t(x) = u( e + alpha x )

    e      (C, D)  text features as they are            y      (N,)   labels
    x      (C, D)  the residual, zero at the start      s             logit scale
    z      (N, D)  u(raw image features)                alpha         how much of x counts
    t      (C, D)  class features                       u(x)          x / |x|, row by row

e is not brought to unit length, as in the authors' code (their regular base; the enhanced one comes from another
method's training). With Adam the residual grows by about alpha x learning rate a step, whatever the length of e: the
longer e is, the gentler the same rate. The authors' e are CLIP's raw features; a suite with several templates gives
their mean at unit length, which is much shorter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Task
from croftbench.training import Recipe, batches, mean_loss, unit

__all__ = ["TaskRes", "adam"]


def adam(x: Tensor, recipe: Recipe) -> torch.optim.Adam:
    """The published optimiser: `recipe.momentum` is its first beta, `recipe.weight_decay` is added to the gradient."""
    return torch.optim.Adam([x], lr=recipe.lr_at(0), betas=(recipe.momentum, 0.999), weight_decay=recipe.weight_decay)


@dataclass(frozen=True)
class TaskRes:
    """Hyper-parameters of TaskRes.

    Attributes:
        alpha: 0.5 in the authors' scripts, but 1 for Flowers102.
        recipe: Adam as in the authors' scripts with up to 4 shots; from 8 shots on they take 200 epochs, and on
            ImageNet lr 0.0002.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1

    alpha: float = 0.5
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=100, batch=256, weight_decay=5e-4))

    def fit(self, task: Task, /) -> Predictor:
        """Train the residual for `recipe.epochs` and return the classifier with the last epoch's.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        e, s, rng = task.text.to(task.train.views.dtype), task.logit_scale, task.generator()
        x = torch.zeros_like(e, requires_grad=True)
        optimizer = adam(x, self.recipe)
        for epoch in range(self.recipe.epochs):
            optimizer.param_groups[0]["lr"] = self.recipe.lr_at(epoch)
            losses = []
            for batch in batches(task.train, epoch, self.recipe.batch, rng):
                loss = cross_entropy(s * unit(batch.features) @ unit(e + self.alpha * x).T, batch.labels)  # (1)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.detach())
            mean_loss(losses, epoch, task, self.recipe.epochs)
        t = unit(e + self.alpha * x.detach())

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return predict
