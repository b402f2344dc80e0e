"""Can confidence be believed, and what does rejecting the least confident images buy? Arrays in, numbers out.

Two questions about (N,) images. *Calibration*: of images given confidence .8, are 80% right? *Selective
classification*: accept an image where its score is high; what share of the accepted ones is wrong? For the second, the
open set is mixed in by appending its images as wrong ones: an unknown class that is accepted is an error.

Scores and confidences are higher for images to accept. No result depends on the order of the images; tied scores are
accepted together, as a threshold does. Empty input, other lengths, NaN and infinity raise `DataError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from croftbench.errors import DataError
from croftbench.stats import intervals, metrics
from croftbench.stats.intervals import Estimate

Vector = NDArray[np.float64]

BINS = 15
ROUNDING = 1e-6  # a softmax in float32 may end a hair above 1


class Bins(NamedTuple):
    """A reliability diagram: (K,) each; a bin holds confidences in (low, high], and only bins with images are listed.

    Attributes:
        low, high: the bin's edges.
        images: how many are in it.
        confidence: their mean confidence.
        accuracy: the share of them that is right.
    """

    low: Vector
    high: Vector
    images: Vector
    confidence: Vector
    accuracy: Vector

    @property
    def gap(self) -> float:
        """Mean |accuracy - confidence| over images: the expected calibration error of this binning."""
        return float(self.images @ np.abs(self.accuracy - self.confidence) / self.images.sum())


class Curve(NamedTuple):
    """Risk against coverage, one point a distinct score, highest first: (T,) each.

    Attributes:
        coverage: share of all images accepted at that score or above; the last is 1.
        risk: share of the accepted ones that is wrong.
    """

    coverage: Vector
    risk: Vector


class Accepted(NamedTuple):
    """What a detector that accepts a share of all images lets through.

    Attributes:
        rate: the share asked for.
        accepted: images accepted: the fewest that a threshold can accept and that make up `rate`.
        accuracy: accepted known images with the right class / all accepted images, with Wilson's 95% interval.
    """

    rate: float
    accepted: int
    accuracy: Estimate


# ------------------------------------------------------------------------------------- calibration


def probability(log_odds: ArrayLike) -> Vector:
    """Probabilities from log-odds, 1 / (1 + e^-x): the confidences of the score 'msp', for `reliability` and `ece`."""
    return np.exp(-np.logaddexp(0, -np.asarray(log_odds, dtype=np.float64)))


def reliability(confidence: ArrayLike, correct: ArrayLike, count: int = BINS, adaptive: bool = False) -> Bins:
    """Accuracy by confidence.

    Args:
        confidence: (N,) probability given to the predicted class, in [0, 1].
        correct: (N,) whether it was right.
        count: number of bins.
        adaptive: bins of (nearly) equal numbers of images, edges at quantiles, instead of equal width. Equal
            confidences share a bin.

    Raises:
        DataError: also for a confidence outside [0, 1].
    """
    sure, right = _pairs(confidence, correct, "confidences")
    if sure.min() < -ROUNDING or sure.max() > 1 + ROUNDING:
        raise DataError(
            "a confidence lies outside [0, 1].",
            "Give the largest softmax probability: probability() of the score 'msp'.",
        )
    inner = np.linspace(0, 1, count + 1)[1:-1]
    if adaptive:
        last = -(-np.arange(1, count) * len(sure) // count) - 1  # position of each bin's largest confidence
        inner = np.unique(np.sort(sure)[last])
    edges = np.concatenate([[0.0], inner, [1.0]])
    bins = np.searchsorted(inner, sure, side="left")  # an edge belongs to the bin below it
    images = np.bincount(bins, minlength=len(edges) - 1).astype(np.float64)
    some = images > 0
    mean = [np.bincount(bins, values, minlength=len(images))[some] / images[some] for values in (sure, right)]
    return Bins(edges[:-1][some], edges[1:][some], images[some], *mean)


def ece(confidence: ArrayLike, correct: ArrayLike, count: int = BINS, adaptive: bool = False) -> intervals.Estimate:
    """Expected calibration error, lower is better: sum over bins of |B| / N * |accuracy(B) - mean confidence(B)|.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: 15 bins ((m - 1) / 15, m / 15] of equal width.
    With `adaptive`, bins of equal mass: Nguyen and O'Connor, "Posterior calibration and exploratory analysis for
    natural language processing models", EMNLP 2015, with absolute gaps. Arguments and errors as in `reliability`.
    Both are biased upwards on small samples: compare methods on the same images.

    The interval is that of the mean over images of +-(right - confidence), the sign that of the image's bin. It takes
    bins and signs as given and does not mend the bias: with few hundred images it covers less than 95%.
    """
    bins = reliability(confidence, correct, count, adaptive)
    sure, right = _pairs(confidence, correct, "confidences")
    sign = np.sign(bins.accuracy - bins.confidence)[np.searchsorted(bins.high[:-1], sure, side="left")]
    return _interval(bins.gap, sign * (right - sure))


# ------------------------------------------------------------------------------------- selection


def risk_coverage(scores: ArrayLike, correct: ArrayLike) -> Curve:
    """Share of wrong ones among the accepted, by share accepted.

    Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.

    Args:
        scores: (N,) higher = accepted first.
        correct: (N,) whether accepting the image is right: known, and its class predicted.
    """
    score, right = _pairs(scores, correct, "scores")
    accepted, hits = _by_threshold(score, right)
    return Curve(accepted / len(score), 1 - hits / accepted)


def aurc(scores: ArrayLike, correct: ArrayLike) -> intervals.Estimate:
    """Area under the risk-coverage curve, lower is better: the mean risk over the thresholds of all images.

    Geifman, Uziel and El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019. An image
    counts once, so a tied threshold counts as often as it has images. Arguments as in `risk_coverage`.

    The interval's standard error is the infinitesimal jackknife, in closed form.
    """
    score, right = _pairs(scores, correct, "scores")
    accepted, hits = _by_threshold(score, right)
    images, risk = np.diff(accepted, prepend=0), 1 - hits / accepted  # (T,) each, highest threshold first
    value = float(images @ risk / len(score))

    # An image counts at its own threshold, and moves the risk there and at every lower one.
    at = np.repeat(np.arange(len(images)), images.astype(np.int64))[np.argsort(np.argsort(-score, kind="stable"))]
    lower, lower_risk = ((of / accepted)[::-1].cumsum()[::-1] for of in (images, images * risk))
    return _interval(value, risk[at] + (1 - right) * lower[at] - lower_risk[at])


def accepted(
    id_scores: ArrayLike, id_correct: ArrayLike, ood_scores: ArrayLike, rates: Sequence[float]
) -> list[Accepted]:
    """How right the accepted images are, with the open set mixed in, at chosen acceptance rates.

    Args:
        id_scores: (M,) scores of images of known classes.
        id_correct: (M,) whether their class is predicted.
        ood_scores: (N,) scores of images of unknown classes; accepting one is an error.
        rates: shares of all M + N images to accept, in (0, 1].

    Raises:
        DataError: also for a rate outside (0, 1].
    """
    known, right = _pairs(id_scores, id_correct, "ID scores")
    unknown = metrics.vector(ood_scores, "OOD scores")
    if not all(0 < rate <= 1 for rate in rates):
        raise DataError(f"acceptance rates {list(rates)} are not all in (0, 1].", "Example: 0.5")
    scores = np.concatenate([known, unknown])
    counts, hits = _by_threshold(scores, np.concatenate([right, np.zeros(len(unknown))]))
    points = []
    for rate in rates:
        at = int(np.searchsorted(counts, np.ceil(rate * len(scores) - 1e-9)))
        n, k = int(counts[at]), int(hits[at])
        points.append(Accepted(rate, n, metrics.accuracy(np.arange(n) < k, np.ones(n))))
    return points


# ------------------------------------------------------------------------------------- parts


def _interval(value: float, influence: Vector) -> intervals.Estimate:
    """Normal interval of a number that each image moves by its (N,) `influence` / N.

    Where all images move it alike, as when none is wrong, it is as wide as that of a share which was never seen.
    """
    n = len(influence)
    width = intervals.Z * float(np.std(influence, ddof=1)) / n**0.5 if n > 1 else 0.0
    width = width if width > 1e-12 else metrics.accuracy(np.zeros(n), np.ones(n)).high
    return intervals.Estimate(value, max(0.0, value - width), min(1.0, value + width))


def _pairs(values: ArrayLike, correct: ArrayLike, name: str) -> tuple[Vector, Vector]:
    first, second = metrics.vector(values, name), metrics.vector(correct, "right-or-wrong marks")
    if len(first) != len(second):
        raise DataError(f"got {len(first)} {name} and {len(second)} right-or-wrong marks.", "Give one per image.")
    return first, second


def _by_threshold(scores: Vector, right: Vector) -> tuple[Vector, Vector]:
    """Images at or above each distinct score, highest first, and how many of them are right: (T,), (T,)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return ends + 1.0, right[order].cumsum()[ends]
