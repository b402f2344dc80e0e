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
longer e is, the gentler the same rate. The authors' e is the mean of CLIP's raw features over the templates,
`base="raw"`; `base="suite"` is `Task.text`, which has unit length where there are several, and so is much shorter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task, later
from croftbench.training import Batch, Recipe, descend, unit

__all__ = ["TaskRes"]


@dataclass(frozen=True)
class TaskRes:
    """Hyper-parameters of TaskRes.

    Attributes:
        alpha: 0.5 in the authors' scripts, but 1 for Flowers102.
        recipe: the optimiser.
        base: what e is: the "suite"'s text features, or the "raw" ones; the same where there is one template.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    # geekyutao/TaskRes, train_regular.sh and configs/trainers/TaskRes: adam_lr2e-3_B256_ep100 up to 4 shots, _ep200
    # from 8 on; on ImageNet lr 0.0002, which suites say. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {
        "authors": {"epochs": {1: 100, 8: 200}, "base": "raw"},
        "croft-comparison": {},
    }

    alpha: float = 0.5
    recipe: Recipe = field(default_factory=lambda: Recipe(optimiser="adam", epochs=100, batch=256, weight_decay=5e-4))
    base: Literal["suite", "raw"] = later("suite")

    def fit(self, task: Task, /) -> Predictor:
        """Train the residual for `recipe.epochs` and return the classifier with the last epoch's.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        e = task.raw_text if self.base == "raw" and task.raw_text is not None else task.text
        e, s = e.to(task.train.views.dtype), task.logit_scale
        x = torch.zeros_like(e, requires_grad=True)

        def loss(batch: Batch) -> Tensor:
            return cross_entropy(s * unit(batch.features) @ unit(e + self.alpha * x).T, batch.labels)  # (1)

        descend(task, self.recipe, [x], task.generator(), loss)
        t = unit(e + self.alpha * x.detach())

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return predict
