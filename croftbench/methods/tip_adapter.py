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
they then choose anew on validation images of each data set, from 0.1 to 3 and 0.1 to 7. Choose them on training images:
`croftbench tune tip-adapter --grid alpha=0.3,1.17,3 --grid beta=1,3,5.5,7`.

The weight decay of CRoFT's authors, 0.1, pulls the keys to zero, where every image gets the same votes: Tip-Adapter-F
may end nearer to zero-shot CLIP than the training-free method. `--set weight_decay=0.0005` lets it train.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from croftbench.method import Examples, Needs, Outputs, Predictor, Task
from croftbench.training import Batch, Recipe, descend, unit

__all__ = ["Cache", "TipAdapter", "TipAdapterF", "keys"]

Variant = Literal["corrected", "official"]


def keys(examples: Examples) -> Tensor:
    """K at the start, (M, D): the mean of each image's raw views, at unit length."""
    return unit(examples.views.mean(0))


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
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1

    variant: Variant = "corrected"
    alpha: float = 1.17
    beta: float = 1.0

    def fit(self, task: Task, /) -> Predictor:
        """Fill the cache and return the classifier."""
        return Cache.of(task, self.alpha, self.beta, self.variant).predictor(keys(task.train))


@dataclass(frozen=True)
class TipAdapterF:
    """Hyper-parameters of Tip-Adapter-F, whose keys are trained.

    Attributes:
        variant, alpha, beta: as in `TipAdapter`.
        recipe: that of CRoFT's authors on ViT-B/16. Tip-Adapter's own code runs AdamW instead: 20 epochs, batches of
            256, rate 0.001, falling by a cosine from step to step.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1

    variant: Variant = "corrected"
    alpha: float = 1.17
    beta: float = 1.0
    recipe: Recipe = field(default_factory=lambda: Recipe(lr=0.001, epochs=50))

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
        return cache.predictor(K.detach())
