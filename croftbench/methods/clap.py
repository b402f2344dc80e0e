"""ZS-LP and CLAP: a linear probe that starts at zero-shot CLIP, and one that is also held near it, class by class.

A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models, CVPR 2024, arXiv 2312.12730.

Both are made to need no validation images. ZS-LP trains the class features alone, from the text features on:

    min over w:   CE( s z u(w)^T, y )                                                                     (1)

CLAP adds what a class's feature may cost that leaves its text, the more, the better zero-shot CLIP knows the class:

    min over w:   CE( s z u(w)^T, y ) + 1/C sum_c lambda_c |w_c - e_c|^2                                  (2)
    lambda_c = mean over the images of class c, in all views, of softmax_c( s z u(e)^T )                  (3)

    f      (N, D)  raw image features                     w      (C, D)  class features; e at the start
    z      (N, D)  u(f)                                   e      (C, D)  mean raw text features of the prompts
    y      (N,)    labels                                 s              logit scale
    u(x)           x / |x|, row by row

Published: jusiro/CLAP, trainers/adapters.py with configs/trainers/SGD_lr1e-1_B256_ep300.yaml, constraint "l2". (3) is
the first outer step of the augmented Lagrangian that the paper derives it from; the published runs make no second one.
The length of e matters to both, since w is not of unit length: a step of SGD turns a long w less.

One thing is not as published: there an epoch draws N of the 20 N images and views; here it takes each image once, in
the epoch's view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Examples, Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import Batch, Recipe, descend, unit

__all__ = ["CLAP", "ZSLP", "multipliers"]


def published() -> Recipe:
    """SGD of SGD_lr1e-1_B256_ep300.yaml; momentum and warm-up are Dassl's."""
    return Recipe(lr=0.1, epochs=300, batch=256, weight_decay=0.0)


def multipliers(train: Examples, e: Tensor, s: float) -> Tensor:
    """The lambda of equation (3), (C,); 0 for a class without images."""
    y = train.labels
    right = torch.zeros(len(e), dtype=e.dtype, device=e.device)
    for view in train.views:
        right.index_add_(0, y, (s * unit(view) @ unit(e).T).softmax(1).gather(1, y[:, None])[:, 0])
    return right / (len(train.views) * torch.bincount(y, minlength=len(e))).clamp_min(1)


def probe(task: Task, recipe: Recipe, held: bool) -> Predictor:
    """Train the class features, (2) where they are `held`, else (1)."""
    views = task.train.views
    e = (task.text if task.raw_text is None else task.raw_text).to(views.dtype)
    s = task.logit_scale
    weights = multipliers(task.train, e, s) if held else None
    w = e.clone().requires_grad_()

    def loss(batch: Batch) -> Tensor:
        value = cross_entropy(s * unit(batch.features) @ unit(w).T, batch.labels)
        return value if weights is None else value + (weights * (w - e).square().sum(1)).mean()

    descend(task, recipe, [w], task.generator(), loss)
    classes = unit(w.detach())

    def predict(f: Tensor) -> Outputs:
        z = unit(f)
        return Outputs(logits=s * z @ classes.T, features=z, classes=classes)

    return predict


@dataclass(frozen=True)
class ZSLP:
    """Hyper-parameters of the zero-shot initialised linear probe."""

    ranges: ClassVar[Mapping[str, str]] = {}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}  # CRoFT does not compare with it

    recipe: Recipe = field(default_factory=published)

    def fit(self, task: Task, /) -> Predictor:
        """Train on (1) and return the classifier with the last epoch's weights.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        return probe(task, self.recipe, held=False)


@dataclass(frozen=True)
class CLAP:
    """Hyper-parameters of class-adaptive linear probing."""

    ranges: ClassVar[Mapping[str, str]] = {}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}  # CRoFT does not compare with it

    recipe: Recipe = field(default_factory=published)

    def fit(self, task: Task, /) -> Predictor:
        """Train on (2) and return the classifier with the last epoch's weights.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        return probe(task, self.recipe, held=True)
