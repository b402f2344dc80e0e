"""Cross-modal linear probe: the class texts are training examples beside the images.

Multimodality Helps Unimodality: Cross-Modal Few-Shot Learning with Multimodal Models, CVPR 2023, arXiv 2301.06267.

CLIP puts both into one space, so that "a dog" is one more shot of the class dog. A step takes as many texts as images:

    min over W:   CE( s [z; t] W^T, [y; c] )                                                              (1)

    f      (N, D)  raw features of a batch's images       W      (C, D)  starts as t; not kept at unit length
    z      (N, D)  u(f)                                   y      (N,)    labels of the images
    t      (C, D)  u(text features); a batch has N        c      (N,)    the classes of the batch's texts
    s              logit scale                            u(x)           x / |x|, row by row

Published: linzhiqiu/cross_modal_adaptation, train.py with engine/optimizer/default.py ("linear"): AdamW in 12,800 steps
of 4 or 16 images and as many texts, a linear warm-up of 50 steps, then a cosine; rate and decay from a small grid, and
the weights of the step out of each hundred that is best on validation images. Here epochs count over the images, the
warm-up is an epoch or none, rate and decay are one corner of the grid, and the last step's weights are kept; a text is
the class's ensemble of prompts, where theirs are the prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import Batch, Recipe, descend, unit

__all__ = ["CrossModal"]


def shuffled(classes: int, rng: torch.Generator) -> Iterator[int]:
    """Classes in random order, all of them before one comes again; without end."""
    while True:
        yield from torch.randperm(classes, generator=rng).tolist()


@dataclass(frozen=True)
class CrossModal:
    """Hyper-parameters of the cross-modal linear probe.

    Attributes:
        recipe: `batch` counts images; a step has as many texts beside them.
    """

    ranges: ClassVar[Mapping[str, str]] = {}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}  # CRoFT does not compare with it

    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            lr=0.001, epochs=30, batch=16, weight_decay=0.01, optimiser="adamw", schedule="step", keep_last=True
        )
    )

    def fit(self, task: Task, /) -> Predictor:
        """Train W and return the classifier with the last step's.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        t, s, rng = unit(task.text.to(task.train.views.dtype)), task.logit_scale, task.generator()
        texts = shuffled(len(t), rng)
        W = t.clone().requires_grad_()

        def loss(batch: Batch) -> Tensor:
            classes = torch.tensor([next(texts) for _ in batch.labels], device=t.device)
            both = torch.cat([unit(batch.features), t[classes]])
            return cross_entropy(s * both @ W.T, torch.cat([batch.labels, classes]))  # (1)

        descend(task, self.recipe, [W], rng, loss)
        head = W.detach()

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ head.T, features=z)

        return predict
