"""Tip-Adapter: the training images are a cache that votes beside zero-shot CLIP; -F trains the cache's keys.

Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification, ECCV 2022, arXiv 2207.09519.

Every training image is a key with its class for a value. A test image adds up, class by class, how close it is to each
key; nothing is trained:

    logits(z; K) = s z t^T + alpha exp( -beta (1 - z K^T) ) V                                             (1)

Tip-Adapter-F starts from the same keys and trains them, values and everything else frozen:

    min over K:   CE( logits(z; K), y )                                                                   (2)

    f      (N, D)  raw image features                   K      (M, D)  keys; u(mean of an image's views) at the start
    z      (N, D)  u(f)                                 V      (M, C)  values, one-hot classes of the M images
    t      (C, D)  u(text features)                     alpha          weight of the cache
    y      (N,)    labels                               beta           sharpness: how near a key must be to count
    u(x)           x / |x|, row by row                  s              logit scale

The published code writes 100 for s. That is what s is for CLIP, and it stands for the zero-shot logits: with alpha = 0
the method is zero-shot CLIP. The zero-shot logits of an encoder with another scale are others, so s is the correct
reading; `variant="official"` is the literal 100, and for CLIP the two agree. Two bugs in the version of CRoFT's authors
are not here: the images of an incomplete batch never entered the cache, and views of different images were averaged.

alpha and beta start from the authors' settings for ImageNet (gaopengcuhk/Tip-Adapter, configs/imagenet.yaml), which
they then choose anew on validation images of each data set, after training: `search`. That reads `Task.val`; where a
suite has no validation images nothing is searched, and alpha and beta stay as they are given. To choose them on
training images: `croftbench tune tip-adapter --grid alpha=0.3,1.17,3 --grid beta=1,3,5.5,7`.

The authors' code also keeps the epoch that is best on test images. Here it is the last one.

The weight decay of CRoFT's authors, 0.1, pulls the keys to zero, where every image gets the same votes: Tip-Adapter-F
may end nearer to zero-shot CLIP than the training-free method. `--set weight_decay=0.0005` lets it train.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from croftbench.method import Examples, Needs, Outputs, Predictor, Recipes, Task, later
from croftbench.training import Batch, Recipe, descend, unit

__all__ = ["Cache", "Grid", "TipAdapter", "TipAdapterF", "keys"]

Variant = Literal["corrected", "official"]
ALPHAS, BETAS = 20, 200
"""Values that are tried of each in a search: the authors' search_step."""


def keys(examples: Examples) -> Tensor:
    """K at the start, (M, D): the mean of each image's raw views, at unit length."""
    return unit(examples.views.mean(0))


@dataclass(frozen=True)
class Grid:
    """Where alpha and beta are sought on validation images.

    Attributes:
        search: whether they are; the first of the best pairs takes the place of those given.
        max_alpha, max_beta: the search goes from 0.1 to below these in 20 and 200 steps. 3 and 7 are published for
            ImageNet, others for other data sets: up to 50 and 50 for Flowers102 (configs/*.yaml, search_scale).
    """

    search: bool = later(False)
    max_alpha: float = later(3.0)
    max_beta: float = later(7.0)

    @staticmethod
    def values(most: float, steps: int) -> list[float]:
        """Evenly from 0.1 on, without `most` itself."""
        return [0.1 + i * (most - 0.1) / steps for i in range(steps)]


class Cache(NamedTuple):
    """All of equation (1) but z and K."""

    t: Tensor
    V: Tensor
    s: float
    alpha: float
    beta: float

    @classmethod
    def of(cls, task: Task, alpha: float, beta: float, variant: Variant) -> Cache:
        """The cache of a task's training images."""
        views = task.train.views
        V = one_hot(task.train.labels, len(task.classnames)).to(views.dtype)
        # PUBLISHED CODE: the literal 100.
        s = 100.0 if variant == "official" else task.logit_scale
        return cls(unit(task.text.to(views.dtype)), V, s, alpha, beta)

    def logits(self, z: Tensor, K: Tensor) -> Tensor:
        """Equation (1), (N, C)."""
        affinity = (-self.beta * (1 - z @ K.T)).exp()  # (N, M)
        return self.s * z @ self.t.T + self.alpha * affinity @ self.V

    def searched(self, K: Tensor, val: Examples | None, grid: Grid) -> Cache:
        """The same with the alpha and beta that are right most often on validation images; as it is without these."""
        if not grid.search or val is None:
            return self
        z = unit(val.views[0])
        zero_shot, affinity = self.s * z @ self.t.T, z @ K.T
        best, chosen = -1.0, self
        for beta in grid.values(grid.max_beta, BETAS):
            votes = (-beta * (1 - affinity)).exp() @ self.V  # (N, C)
            for alpha in grid.values(grid.max_alpha, ALPHAS):
                right = ((zero_shot + alpha * votes).argmax(1) == val.labels).sum().item()
                if right > best:  # the first of equals, as published
                    best, chosen = right, self._replace(alpha=alpha, beta=beta)
        return chosen

    def predictor(self, K: Tensor) -> Predictor:
        """The classifier with these keys."""

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=self.logits(z, K), features=z)

        return predict


@dataclass(frozen=True)
class TipAdapter:
    """Hyper-parameters of the training-free Tip-Adapter.

    Attributes:
        variant: "corrected" multiplies cosines by the encoder's s, "official" by 100; see the top of this file.
        alpha: weight of the cache.
        beta: sharpness of the cache.
        grid: where to seek both on validation images.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    # gaopengcuhk/Tip-Adapter, main.py and configs/imagenet.yaml. CRoFT's repository trains the keys always.
    recipes: ClassVar[Recipes] = {"authors": {"search": True}, "croft-comparison": {}}

    variant: Variant = "corrected"
    alpha: float = 1.17
    beta: float = 1.0
    grid: Grid = field(default_factory=Grid)

    def fit(self, task: Task, /) -> Predictor:
        """Fill the cache and return the classifier."""
        cache, K = Cache.of(task, self.alpha, self.beta, self.variant), keys(task.train)
        return cache.searched(K, task.val, self.grid).predictor(K)


@dataclass(frozen=True)
class TipAdapterF:
    """Hyper-parameters of Tip-Adapter-F, whose keys are trained.

    Attributes:
        variant, alpha, beta, grid: as in `TipAdapter`; alpha and beta are what it trains with.
        recipe: that of CRoFT's authors on ViT-B/16.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    # gaopengcuhk/Tip-Adapter, main.py and configs/imagenet.yaml; the weight decay is PyTorch's default for AdamW.
    # LinLLLL/CRoFT, configs/trainers/TIP_ADAPTER.
    recipes: ClassVar[Recipes] = {
        "authors": {
            "optimiser": "adamw", "eps": 1e-4, "weight_decay": 0.01, "lr": 0.001, "epochs": 20, "batch": 256,
            "schedule": "step", "warmup": 0, "keep_last": True, "search": True,
        },
        "croft-comparison": {},
    }  # fmt: skip

    variant: Variant = "corrected"
    alpha: float = 1.17
    beta: float = 1.0
    recipe: Recipe = field(default_factory=lambda: Recipe(lr=0.001, epochs=50))
    grid: Grid = field(default_factory=Grid)

    def fit(self, task: Task, /) -> Predictor:
        """Train the keys for `recipe.epochs` and return the classifier with the last epoch's.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        cache, rng = Cache.of(task, self.alpha, self.beta, self.variant), task.generator()
        K = keys(task.train).requires_grad_()

        def loss(batch: Batch) -> Tensor:
            return cross_entropy(cache.logits(unit(batch.features), K), batch.labels)  # (2)

        descend(task, self.recipe, [K], rng, loss)
        K = K.detach()
        return cache.searched(K, task.val, self.grid).predictor(K)
