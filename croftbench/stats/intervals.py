"""95% intervals for numbers from samples of images: of a share, of a ranking, of an operating point.

What all three have in common: near 0 and 1 a sample shows fewer kinds of error than there are, and an interval from
what it shows is too short. Each therefore also counts images that were not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
Z_ONE_SIDED = NormalDist().inv_cdf(CONFIDENCE)
RESAMPLES = 2000

OUT_OF_REACH = 16.0
"""So many mistakes or fewer are to be expected where no sample is good enough for its lower limit to exceed the truth.
Of the values tried (4, 8, 12, 16, 20) the one that keeps coverage within .93 and .97; see `ranking`."""
BEYOND = 0.75
"""Slope of the ROC curve on logit scales below the lowest positive, see `operating_point`."""
TAIL = 0.03
"""Share of an operating point's draws beyond each end of its interval. Of the values tried (.025, .03, .035) the one
that keeps coverage within .93 and .97, as far as steps of one image allow."""
NONE_SEEN = NormalDist().inv_cdf(1 - TAIL / 2) ** 2 / 2
"""Where none of many negatives is accepted, so many of them are accepted at Jeffreys' upper limit."""
TINY = 1e-12


class Estimate(NamedTuple):
    """A value and its 95% interval; low <= value <= high, all within [0, 1]."""

    value: float
    low: float
    high: float


class Counts(NamedTuple):
    """Positives and negatives at each threshold, highest first; they need not be whole.

    Attributes:
        hits, alarms: (T,) positives and negatives.
        accepted: their running sums: (T,) positives and (T,) negatives at or above each threshold.
    """

    hits: Vector
    alarms: Vector
    accepted: tuple[Vector, Vector]

    @classmethod
    def of(cls, hits: Vector, alarms: Vector) -> Counts:
        """The counts with their sums."""
        return cls(hits, alarms, (hits.cumsum(), alarms.cumsum()))

    def plus(self, top: tuple[float, float] | None = None, bottom: tuple[float, float] | None = None) -> Counts:
        """With (positives, negatives) added above all others, below them, or both; sums to the bit as if anew."""
        columns, sums = [], []
        for i in (0, 1):
            above, below = ([more[i]] if more else [] for more in (top, bottom))
            columns.append(np.concatenate([above, self[i], below]))
            seen = self.accepted[i]
            same = not any(above)  # nothing above: the sums of those seen are what they were
            sums.append(
                np.concatenate([above, seen, [seen[-1] + more for more in below]]) if same else columns[i].cumsum()
            )
        return Counts(columns[0], columns[1], (sums[0], sums[1]))


class Measure(NamedTuple):
    """What is measured of counts.

    Attributes:
        value, variance: the number, and its sampling variance.
        unseen: images of either population to count at either end beside those that were seen, as Jeffreys' prior
            counts half an error of each kind. Less where one image at the top weighs more. The values that keep
            coverage within .93 and .97 at AUROC .7, .95 and .999, of .03 to .07, .1 and .15.
        mirrored: whether the reversed order gives 1 minus the value, so that 0 is as far as 1.
    """

    value: Callable[[Counts], float]
    variance: Callable[[Counts], float]
    unseen: float
    mirrored: bool = False


def around(value: float, low: float, high: float) -> Estimate:
    """An interval widened to hold its value, within [0, 1]."""
    return Estimate(value, max(0.0, min(float(low), value)), min(1.0, max(float(high), value)))


def share(value: float, total: int) -> Estimate:
    """Of a share of `total` images: Wilson's score interval (JASA 1927)."""
    centre = (value + Z**2 / (2 * total)) / (1 + Z**2 / total)
    width = Z / (1 + Z**2 / total) * np.sqrt(value * (1 - value) / total + (Z / (2 * total)) ** 2)
    return around(value, centre - width, centre + width)


def ranking(measure: Measure, seen: Counts) -> Estimate:
    """Of a number that depends on the order of the scores alone.

    A normal interval on the logit scale, with `measure.unseen` images of each population added at each end. Close to
    perfection that is too wide, so it is cut: where z^2 = 3.84 images of one population at its wrong end (an
    AUROC of 1 becomes Wilson's lower limit) would move the interval of the images seen to. Where nothing varies,
    as with perfect separation, constant scores or a single image, that move is the interval.

    Near perfection an interval misses on one side only: even a perfect sample has a lower limit below the truth. The
    upper limit then gets the whole 5% for its misses, as that of a one-sided interval. The same near 0, where the
    measure is mirrored.

    Args:
        measure: the value, asked for six times, and its variance, asked for twice.
        seen: positives and negatives at each distinct score.
    """
    value, spread = measure.value(seen), measure.variance(seen)
    worst = min(measure.value(seen.plus(bottom=(Z**2, 0))), measure.value(seen.plus(top=(0, Z**2))))
    best = max(measure.value(seen.plus(top=(Z**2, 0))), measure.value(seen.plus(bottom=(0, Z**2))))
    if not spread > 0:  # or is not a number
        return around(value, worst, best)
    both = seen.plus(top=(measure.unseen, measure.unseen), bottom=(measure.unseen, measure.unseen))
    centre, blurred = measure.value(both), measure.variance(both)
    low, high = _logit_interval(centre, blurred, Z)
    seen_low, seen_high = _logit_interval(value, spread, Z)
    low, high = max(low, seen_low - (value - worst)), min(high, seen_high + best - value)
    images = centre * (1 - centre) / blurred  # of a share that varies as much
    edge = OUT_OF_REACH / (images + OUT_OF_REACH)
    near_low, near_high = _logit_interval(value, spread, Z_ONE_SIDED)
    high = max(min(high, 1 - edge), near_high)
    return around(value, min(max(low, edge), near_low) if measure.mirrored else low, high)


def operating_point(value: float, positives: Vector, negatives: Vector, tpr: float, seed: int) -> Estimate:
    """Of the share of negatives accepted at the threshold that accepts `tpr` of all positives there are.

    Two things are unknown, and both are drawn: where that threshold lies, and the share of negatives above it.
    The number of sampled positives below the true threshold is binomial, which puts the threshold between two of
    them, at a place that the uniform levels of order statistics give (the fiducial distribution of a quantile). The
    accepted shares at the two are drawn from their joint Jeffreys posterior, and the share at the threshold lies
    between them on the logit scale; where either is the score of several positives, the threshold is one of the two,
    and the interval reaches to both shares. A threshold below all sampled positives is reached by going on at slope
    3/4: between 1, that of two populations alike in spread, and 0, that of negatives that are all accepted by then.
    Only the order of the scores matters.

    Near 0 and 1 an interval misses on one side only, as in `ranking`: a sample in which none of the negatives is
    accepted has its upper limit above the truth. The other limit then gets the whole 5%, unless scores tie there.

    Args:
        value: the share in this sample.
        positives, negatives: (M,) and (N,) scores, sorted from the lowest.
        tpr: share of positives to accept.
        seed: of the draws.
    """
    m, n, level = len(positives), len(negatives), 1 - tpr
    draw = np.random.default_rng(seed)
    below = draw.binomial(m, level, RESAMPLES)  # sampled positives below the true threshold
    lower = level * draw.random(RESAMPLES) ** (1 / np.maximum(below, TINY))  # the levels of its neighbours
    upper = 1 - tpr * draw.random(RESAMPLES) ** (1 / np.maximum(m - below, TINY))
    ends = np.concatenate([[-np.inf], positives, [np.inf, np.nan]])  # thresholds that accept all, none; then nothing
    before, lower_end, upper_end, after = (ends[below + i] for i in (-1, 0, 1, 2))
    over_lower, over_upper = (n - np.searchsorted(negatives, end, side="left") for end in (lower_end, upper_end))
    at_upper = draw.beta(over_upper + 0.5, n - over_upper + 0.5)
    between = draw.beta(np.maximum(over_lower - over_upper, TINY), n - over_lower + 0.5)
    at_lower = at_upper + (1 - at_upper) * between
    place = (_logit(level) - _logit(lower)) / (_logit(upper) - _logit(lower))
    inside = _logit(at_lower) + (_logit(at_upper) - _logit(at_lower)) * place
    beyond = _logit(at_upper) + BEYOND * (_logit(upper) - _logit(level))
    shares = _from_logit(np.where(below > 0, inside, beyond))
    one_of_two = (lower_end < upper_end) & ((before == lower_end) | (upper_end == after))
    if one_of_two.any():
        low = np.quantile(np.where(one_of_two, at_upper, shares), TAIL)
        high = np.quantile(np.where(one_of_two & (below > 0), at_lower, shares), 1 - TAIL)
    else:
        low, near_0, near_1, high = np.quantile(shares, [TAIL, 1 - CONFIDENCE, CONFIDENCE, 1 - TAIL])
        edge = NONE_SEEN / (n + NONE_SEEN)
        low, high = max(low, min(near_0, edge)), min(high, max(near_1, 1 - edge))
    # Where all or none are accepted the posterior stops short of the end that the data sit on.
    return around(value, low if value > 0 else 0.0, high if value < 1 else 1.0)


def variance(values: Vector, counts: Vector) -> float:
    """Sample variance (ddof 1) of (T,) values, each occurring `counts` times; NaN for a single one."""
    total = counts.sum()
    if total <= 1:
        return float("nan")
    centred = values - counts @ values / total
    return float(counts @ centred**2 / (total - 1))


def _logit_interval(value: float, spread: float, z: float) -> tuple[float, float]:
    """Normal on the logit scale, `z` standard errors to either side; without width at 0 and 1."""
    if not 0 < value < 1:
        return value, value
    width = z * np.sqrt(spread) / (value * (1 - value))
    low, high = _from_logit(_logit(value) + np.array([-width, width]))
    return float(low), float(high)


def _logit(chance: float | Vector) -> Vector:
    inside = np.clip(chance, TINY, 1 - TINY)
    return np.asarray(np.log(inside / (1 - inside)))


def _from_logit(value: Vector) -> Vector:
    return np.asarray(0.5 + 0.5 * np.tanh(value / 2))
