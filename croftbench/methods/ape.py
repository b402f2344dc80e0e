"""APE: Tip-Adapter's cache on the channels that tell classes apart; APE-T trains a shift a class and a vote an image.

Not All Features Matter: Enhancing Few-shot CLIP with Adaptive Prior Refinement, ICCV 2023, arXiv 2304.01195.

Of the D channels Q are kept, in which classes are least alike and texts differ most:

    J_d = - w sim_d + (1 - w) var_c(t_cd)                                                                 (1)
    sim_d = mean over classes i != j, and over the texts and images p of i and q of j, of p_d q_d

APE is training-free. An image that the refined texts take for another class votes louder, by gamma:

    logits(z) = s z t^T + alpha exp( -beta (1 - z' K'^T) ) ( V exp(gamma kl) )                            (2)
    kl_i = log2( (1 + eps) / (p_i + eps) ),   p_i = softmax_{y_i}( K'_i t'^T ),   eps = 1e-6              (3)

APE-T keeps all channels and moves Q of them, keys and text of a class alike; sim_d is of the texts alone there:

    min over R, v:   CE( s z (t + R)^T + alpha exp( -beta (1 - z (K + V R)^T) ) ( V v ), y )              (4)

    f, z   (N, D)  raw image features, u(f)             z', K', t'    the Q channels of z, K, t, at unit length
    K      (M, D)  keys, u(mean of an image's views)    alpha, beta   weight and sharpness of the cache
    V      (M, C)  one-hot classes of the M images      s             logit scale
    t      (C, D)  u(text features)                     R      (C, D)  shifts, 0 at the start and outside of the Q
    u(x)           x / |x|, row by row                  v      (M, 1)  votes, 1 at the start

Published: yangyangyang127/APE, main.py, utils.py and configs/imagenet.yaml, which writes 100 for s, as it is for CLIP,
and keeps 500 of RN50's 1,024 channels: `channels` is that share. alpha, beta and gamma are sought on validation images
(`search`), which reads `Task.val`. The published APE-T also keeps the epoch that is best there; here it is the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from croftbench.method import Examples, Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import Batch, Recipe, descend, unit

__all__ = ["APE", "APET", "likeness", "refined"]

EPS = 1e-6
BETAS, ALPHAS, GAMMAS = 200, 20, 5
"""Values that are tried of each in a search: the authors' search_step."""
MOST, MOST_GAMMA = 7.0, 0.5
"""The search goes from 0.1 to below the first for alpha and beta, from 0 to below the second for gamma."""


def likeness(features: Tensor, classes: Tensor, C: int) -> Tensor:
    """The sim of (1), (D,), from (P, D) texts and images and their (P,) classes; sums of classes stand for pairs."""
    sums = features.new_zeros(C, features.shape[1]).index_add_(0, classes, features)
    counts = torch.bincount(classes, minlength=C).to(features)
    pairs = counts.sum().square() - counts.square().sum()
    return (sums.sum(0).square() - sums.square().sum(0)) / pairs


def refined(sim: Tensor, t: Tensor, w: float, channels: float) -> Tensor:
    """(Q,) the channels that (1) keeps."""
    J = -w * sim + (1 - w) * t.var(0)
    kept: Tensor = J.topk(max(1, round(channels * len(J)))).indices
    return kept


def steps(least: float, most: float, count: int) -> Iterator[float]:
    """Evenly from `least` on, without `most` itself."""
    return (least + i * (most - least) / count for i in range(count))


class Cache(NamedTuple):
    """What both kinds start from: keys (M, D), values (M, C), texts (C, D) and the logit scale."""

    K: Tensor
    V: Tensor
    t: Tensor
    s: float

    @classmethod
    def of(cls, task: Task) -> Cache:
        """Of a task's training images."""
        K = unit(task.train.views.mean(0))
        V = one_hot(task.train.labels, len(task.classnames)).to(K)
        return cls(K, V, unit(task.text.to(K)), task.logit_scale)


@dataclass(frozen=True)
class APE:
    """Hyper-parameters of the training-free APE.

    Attributes:
        channels: share of the channels that is kept.
        w: weight of the likeness of classes in (1).
        alpha, beta, gamma: see (2).
        search: choose the three on validation images; the first of equals.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "channels": "> 0, <= 1", "w": ">= 0, <= 1", "alpha": ">= 0", "beta": ">= 0", "gamma": ">= 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {"search": True}, "croft-comparison": {}}  # CRoFT does not compare with it

    channels: float = 500 / 1024
    w: float = 0.7
    alpha: float = 2.0
    beta: float = 1.0
    gamma: float = 0.1
    search: bool = False

    def fit(self, task: Task, /) -> Predictor:
        """Choose the channels, fill the cache and return the classifier."""
        cache, y = Cache.of(task), task.train.labels
        K, V, t, s = cache
        both, classes = torch.cat([t, K]), torch.cat([torch.arange(len(t), device=y.device), y])
        kept = refined(likeness(both, classes, len(t)), t, self.w, self.channels)
        keys, texts = unit(K[:, kept]), unit(t[:, kept])
        p = (keys @ texts.T).softmax(1).gather(1, y[:, None])
        kl = ((1 + EPS) / (p + EPS)).log2()  # (3), (M, 1)
        alpha, beta, gamma = self._searched(cache, keys, kept, kl, task.val)
        values = V * (gamma * kl).exp()

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            votes = (-beta * (1 - unit(z[:, kept]) @ keys.T)).exp() @ values
            return Outputs(logits=s * z @ t.T + alpha * votes, features=z)  # (2)

        return predict

    def _searched(
        self, cache: Cache, keys: Tensor, kept: Tensor, kl: Tensor, val: Examples | None
    ) -> tuple[float, float, float]:
        """The alpha, beta and gamma that are right most often on validation images; as given without these."""
        chosen, most = (self.alpha, self.beta, self.gamma), -1
        if not self.search or val is None:
            return chosen
        z = unit(val.views[0])
        zero_shot, affinity = cache.s * z @ cache.t.T, unit(z[:, kept]) @ keys.T
        for beta in steps(0.1, MOST, BETAS):
            closeness = (-beta * (1 - affinity)).exp()
            votes = {gamma: closeness @ (cache.V * (gamma * kl).exp()) for gamma in steps(0, MOST_GAMMA, GAMMAS)}
            for alpha in steps(0.1, MOST, ALPHAS):
                for gamma, of in votes.items():
                    if (right := int(((zero_shot + alpha * of).argmax(1) == val.labels).sum())) > most:
                        most, chosen = right, (alpha, beta, gamma)
        return chosen


@dataclass(frozen=True)
class APET:
    """Hyper-parameters of APE-T.

    Attributes:
        channels: share of the channels that is moved.
        w: weight of the likeness of classes in (1).
        alpha, beta: of the cache, in training and, without a search, in testing.
        search: choose the two on validation images after training; the first of equals.
        recipe: AdamW of the authors' configuration for ImageNet.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "channels": "> 0, <= 1", "w": ">= 0, <= 1", "alpha": ">= 0", "beta": ">= 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {"search": True}, "croft-comparison": {}}  # CRoFT does not compare with it

    channels: float = 500 / 1024
    w: float = 0.2
    alpha: float = 2.0
    beta: float = 1.0
    search: bool = False
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            lr=1e-4, epochs=20, batch=256, weight_decay=0.1, optimiser="adamw", eps=1e-3, schedule="step", warmup=0,
            keep_last=True,
        )
    )  # fmt: skip

    def fit(self, task: Task, /) -> Predictor:
        """Train R and v on (4) and return the classifier with the last epoch's.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        K, V, t, s = cache = Cache.of(task)
        kept = refined(likeness(t, torch.arange(len(t), device=t.device), len(t)), t, self.w, self.channels)
        moved = t.new_zeros(len(t), len(kept)).requires_grad_()
        v = torch.ones_like(K[:, :1]).requires_grad_()

        def shifted() -> Cache:
            R = torch.zeros_like(t).index_copy(1, kept, moved)
            return Cache(K + R[task.train.labels], V * v, t + R, s)

        def loss(batch: Batch) -> Tensor:
            now = shifted()
            z = unit(batch.features)
            votes = (-self.beta * (1 - z @ now.K.T)).exp() @ now.V
            return cross_entropy(s * z @ now.t.T + self.alpha * votes, batch.labels)  # (4)

        descend(task, self.recipe, [moved, v], task.generator(), loss)
        with torch.no_grad():
            cache = shifted()
            alpha, beta = self._searched(cache, task.val)

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            votes = (-beta * (1 - z @ cache.K.T)).exp() @ cache.V
            return Outputs(logits=s * z @ cache.t.T + alpha * votes, features=z)

        return predict

    def _searched(self, cache: Cache, val: Examples | None) -> tuple[float, float]:
        """The alpha and beta that are right most often on validation images; as given without these."""
        chosen, most = (self.alpha, self.beta), -1
        if not self.search or val is None:
            return chosen
        z = unit(val.views[0])
        zero_shot, affinity = cache.s * z @ cache.t.T, z @ cache.K.T
        for beta in steps(0.1, MOST, BETAS):
            votes = (-beta * (1 - affinity)).exp() @ cache.V
            for alpha in steps(0.1, MOST, ALPHAS):
                if (right := int(((zero_shot + alpha * votes).argmax(1) == val.labels).sum())) > most:
                    most, chosen = right, (alpha, beta)
        return chosen
