"""Zero-shot CLIP: cosine similarity with the class prompts, nothing trained.

Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, arXiv 2103.00020.

    logits = s z t^T,    z = f / |f|,    t = e / |e|

    f   (B, D)  raw image features          z   (B, D)  the same, unit norm
    e   (C, D)  text features               t   (C, D)  the same, unit norm
    s           logit scale
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import unit

__all__ = ["ZeroShot"]


@dataclass(frozen=True)
class ZeroShot:
    """The frozen model with the suite's prompts; ignores the training images."""

    needs: ClassVar[Needs] = Needs(train=False)
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}  # it has nothing to set

    def fit(self, task: Task, /) -> Predictor:
        """Return the classifier made of the task's text features."""
        t = unit(task.text)  # (C, D)

        def predict(f: Tensor) -> Outputs:
            z = unit(f)  # (B, D)
            return Outputs(logits=task.logit_scale * z @ t.T, features=z, classes=t)

        return predict
