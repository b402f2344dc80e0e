"""ProLIP: only the image tower's last map is trained, and held near where it was.

CLIP's Visual Embedding Projector is a Few-shot Cornucopia, arXiv 2410.05270, 2024. Code of the authors:
astra-vision/ProLIP.

    min over P:   CE( s z(P) t^T, y ) + lambda |P - P0|^2                                                 (1)
    z(P) = u( x P + b )

    x      (N, W)  image features before the projection   lambda        `penalty`, over the images a class has
    P      (W, D)  the projection, P0 before training     s             logit scale
    b      (D,)    a ResNet's bias, never trained         u(x)          x / |x|, row by row
    t      (C, D)  u(text features)                       |P|^2         sum of squares
    y      (N,)    labels

Each epoch is one step of Adam on all images, in the next of their augmented views. Nothing else of the encoder is run
again: x is cached as features are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Projection, Recipes, Task
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["ProLIP"]

ALL = 1_000_000
"""Images a step: all of them."""


@dataclass(frozen=True)
class ProLIP:
    """Hyper-parameters of ProLIP.

    Attributes:
        penalty: of P's way from P0.
        by_shots: whether the penalty is divided by how many training images a class has, on average.
        recipe: the optimiser.
    """

    ranges: ClassVar[Mapping[str, str]] = {"penalty": ">= 0"}
    needs: ClassVar[Needs] = Needs(image="unprojected")
    version: ClassVar[int] = 1
    # astra-vision/ProLIP, configs/base.yaml and configs/experiments/DG_VITB16.yaml. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    penalty: float = 1.0
    by_shots: bool = True
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            optimiser="adam", lr=1e-5, epochs=300, batch=ALL, weight_decay=0.0, eps=1e-4, warmup=0
        )
    )

    def fit(self, task: Task, /) -> Predictor:
        """Train P for `recipe.epochs` and return the classifier of the last.

        Raises:
            TrainingError: an epoch's loss is not finite.
        """
        first, s = task.towers.projection, task.logit_scale
        P = first.weight.clone().requires_grad_()
        shots = len(task.train) / len(task.classnames)
        weight = self.penalty / (shots if self.by_shots else 1)
        t = unit(task.text)

        def features(x: Tensor) -> Tensor:
            return unit(Projection(P, first.bias)(x))

        def loss(batch: Batch) -> Tensor:
            right = cross_entropy(s * features(batch.features) @ t.T, batch.labels)
            return right + weight * (P - first.weight).square().sum()  # (1)

        descend(task, self.recipe, [P], task.generator(), loss)
        P.requires_grad_(False)

        def predict(x: Tensor, t: Tensor) -> Outputs:
            z = features(x)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(lambda names, text: unit(text), predict, task.classnames, task.text)
