"""Two classifiers on the same images: differences a - b with a 95% interval and a p-value. Arrays in, numbers out.

Both classifiers answer the same images, so what is hard for both cancels. Every function takes *parts*: rounds of an
experiment (seeds, folds, splits), each with its own images and perhaps its own training. The effect is the weighted
mean of the parts' differences. Images that show the same thing, in one part or in several, are not independent
evidence: where they share a *unit*, the unit is sampled (cluster-robust, Obuchowski, Biometrics 1997); an image
without one is its own. Intervals speak of other images, given these trained classifiers.

**In-distribution (ID) is positive and scores are higher for it.**
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from croftbench.errors import DataError
from croftbench.stats import metrics
from croftbench.stats.intervals import CONFIDENCE, RESAMPLES, Vector, Z

Units = NDArray[np.int64]
Counts = NDArray[np.int32]

CELLS = 2**18
"""Resolution of the sign-flip distribution where parts have different weights; equal weights need none."""


class Difference(NamedTuple):
    """a - b: effect and its 95% interval, low <= effect <= high within [-1, 1]; p is two-sided, of no difference."""

    effect: float
    low: float
    high: float
    p: float


class Answers(NamedTuple):
    """One part of an accuracy: (N,) whether a and b are right, (N,) units, and the part's weight."""

    a: ArrayLike
    b: ArrayLike
    units: ArrayLike | None = None
    weight: float = 1.0


class Ranking(NamedTuple):
    """One part of a detection: (M,) ID and (N,) OOD scores of a and of b, their units, and the part's weight."""

    id_a: ArrayLike
    id_b: ArrayLike
    ood_a: ArrayLike
    ood_b: ArrayLike
    id_units: ArrayLike | None = None
    ood_units: ArrayLike | None = None
    weight: float = 1.0


# ------------------------------------------------------------------------------------- tests


def accuracy(parts: Sequence[Answers]) -> Difference:
    """Difference of two accuracies on the same images.

    p is McNemar's exact test (Psychometrika 1947): without a difference, each unit's advantage for a is as likely to
    be one for b. With an image a unit that is the binomial test of the discordant pairs; units of several images keep
    the size of their advantage, and the sum's distribution over all sign flips is computed, not drawn. The interval
    is Agresti and Min's (Statistics in Medicine 2005), Wald's after half a pair is added to each cell, over units.

    Args:
        parts: at least one, each with at least one image.

    Raises:
        DataError: a part is empty or its arrays differ in length.
    """
    shares = _shares([part.weight for part in parts])
    gains, units = [], []
    for index, part in enumerate(parts):
        a, b = _column(part.a, "answers of a"), _column(part.b, "answers of b")
        _same_length(a, b)
        gains.append(a - b)
        units.append(_units(part.units, len(a), index))
    per_image = [np.full(len(gain), share / len(gain)) for gain, share in zip(gains, shares, strict=True)]
    where, count = _positions(units)
    gain = np.bincount(where, np.concatenate([w * g for w, g in zip(per_image, gains, strict=True)]), count)
    weight = np.bincount(where, np.concatenate(per_image), count)
    effect = float(gain.sum())
    # In units of an average image's worth: with an image a unit, a gain is -1, 0 or 1 and the mean of gains the effect.
    scaled, worth = count * gain, count * weight
    centre = float(scaled.sum()) / (count + 2)
    spread = float(((scaled - centre * worth) ** 2).sum()) + 1 + 2 * centre**2
    half = Z * math.sqrt(spread) / (count + 2)
    return _difference(effect, centre - half, centre + half, _sign_flips(scaled))


def auroc(parts: Sequence[Ranking]) -> Difference:
    """Difference of two AUROCs on the same images: DeLong, DeLong and Clarke-Pearson (Biometrics 1988), over units.

    From sorted scores, O(n log n). Interval and p are normal. Where nothing varies (two rankings without an error)
    the standard error is that of one image in the smallest population.

    Raises:
        DataError: a population of fewer than two images, or arrays that differ in length.
    """
    shares = _shares([part.weight for part in parts])
    effect, influences, units, smallest = 0.0, [], [], math.inf
    for index, (part, share) in enumerate(zip(parts, shares, strict=True)):
        id_a, id_b, ood_a, ood_b = _scores(part)
        m, n = len(id_a), len(ood_a)
        if min(m, n) < 2:
            raise DataError(f"a paired AUROC got {m} ID and {n} OOD images.", "It needs two of each at least.")
        beats = _below(id_a, ood_a) - _below(id_b, ood_b)  # (M,)
        beaten = _below(ood_b, id_b) - _below(ood_a, id_a)  # (N,)
        value = float(beats.mean())
        effect += share * value
        smallest = min(smallest, m, n)
        for role, (gain, given) in enumerate(((beats, part.id_units), (beaten, part.ood_units))):
            size = len(gain)
            influences.append(share * (gain - value) / math.sqrt(size * (size - 1)))
            units.append(_units(given, size, index, role))
    where, count = _positions(units)
    per_unit = np.bincount(where, np.concatenate(influences), count)
    return _normal(effect, math.sqrt(per_unit @ per_unit) or 1 / (smallest + 2))


def fpr_at_tpr(parts: Sequence[Ranking], tpr: float = 0.95, seed: int = 0) -> Difference:
    """Difference of two FPRs at a TPR, as `metrics.fpr_at_tpr` counts them, on the same images; lower is better.

    A bootstrap over units, the same resample for a and b, with Poisson(1) counts (Oza and Russell, AISTATS 2001):
    each unit's images are drawn together in every part and role. The interval is that of its percentiles, and p the
    level at which it ends at 0. Ties make the difference jump: a normal test by the bootstrap's standard error then
    rejects 5 to 15% at 5%; percentiles stay below 5%, and are shy where a and b are much alike. Where no resample is on
    the other side of 0, p is the normal one if that is smaller. Where no resample differs (both accept all or none)
    the interval is that of one image in the smallest population.

    Args:
        parts: at least one, each with at least one image of each population.
        tpr: share of ID to accept, between 0 and 1.
        seed: of the resamples.

    Raises:
        DataError: an empty population, arrays that differ in length, or a `tpr` outside (0, 1).
    """
    if not 0 < tpr < 1:
        raise DataError(f"a recall of {tpr} leaves no threshold to choose.", "Give a share between 0 and 1.")
    shares = _shares([part.weight for part in parts])
    columns = [_scores(part) for part in parts]
    units = []
    for index, (part, (id_a, _, ood_a, _)) in enumerate(zip(parts, columns, strict=True)):
        units.append(_units(part.id_units, len(id_a), index))
        units.append(_units(part.ood_units, len(ood_a), index, 1))
    where, count = _positions(units)
    at = np.split(where, np.cumsum([len(one) for one in units])[:-1])

    def differences(counts: Counts) -> Vector:
        """(R,) differences where unit u counts counts[r, u] times."""
        total = np.zeros(len(counts))
        for share, (id_a, id_b, ood_a, ood_b), of_id, of_ood in zip(shares, columns, at[::2], at[1::2], strict=True):
            id_counts, ood_counts = _never_empty(counts[:, of_id]), _never_empty(counts[:, of_ood])
            total += share * _weighted_fpr(id_a, ood_a, id_counts, ood_counts, tpr)
            total -= share * _weighted_fpr(id_b, ood_b, id_counts, ood_counts, tpr)
        return total

    effect = float(differences(np.ones((1, count), dtype=np.int32))[0])
    draw, rows = np.random.default_rng(seed), max(1, 2_000_000 // len(where))
    resampled = [
        differences(draw.poisson(1.0, (min(rows, RESAMPLES - start), count)).astype(np.int32))
        for start in range(0, RESAMPLES, rows)
    ]
    values = np.concatenate(resampled)
    error = float(values.std(ddof=1))
    if not error:
        smallest = min(len(scores) for column in columns for scores in column)
        return _normal(effect, 1 / (smallest + 2))
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    beyond = min((values <= 0).sum(), (values >= 0).sum())
    p = min(1.0, 2 * (float(beyond) + 1) / (len(values) + 1))
    if not beyond:
        p = min(p, _normal(float(values.mean()), error).p)
    return _difference(effect, float(low), float(high), p)


def holm(p: Iterable[float]) -> list[float]:
    """p-values adjusted for being this many, so that any below .05 is wrong with chance .05 at most.

    Holm, Scandinavian Journal of Statistics 1979; in the order given.
    """
    values = np.asarray(list(p), dtype=np.float64)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(raised, 1.0)
    return [float(value) for value in adjusted]


# ------------------------------------------------------------------------------------- parts


def _sign_flips(gains: NDArray[Any]) -> float:
    """P(|sum of randomly signed gains| >= |sum of gains|), from the sum's characteristic function on a grid."""
    sizes = np.abs(gains[np.abs(gains) > 1e-12])
    if not len(sizes):
        return 1.0
    ratios = sizes / sizes.min()
    if np.abs(ratios - np.round(ratios)).max() > 1e-6 or ratios.sum() > 16 * CELLS:
        ratios = sizes / sizes.sum() * max(CELLS, 8 * len(sizes))
    steps = np.maximum(np.round(ratios), 1).astype(np.int64)
    reached = abs(int((np.sign(gains[np.abs(gains) > 1e-12]) * steps).sum()))
    cells = 1 << int(2 * steps.sum() + 1).bit_length()
    # The sum is even or odd as a whole, so that its distribution repeats in (-1)^k: half the circle says all.
    angles = 2 * np.pi / cells * np.arange(cells // 2 + 1)
    wave = np.ones_like(angles)
    for step, times in zip(*np.unique(steps, return_counts=True), strict=True):
        wave *= np.cos(angles * step) ** int(times)
    chances = np.fft.irfft(wave, cells)  # chance of sum s at position s mod cells
    beyond = float(chances[reached : cells - reached + 1].sum()) if reached else 1.0
    return min(1.0, max(beyond, 1e-12))  # the transform rounds: what is smaller is not known


def _weighted_fpr(ids: Vector, oods: Vector, id_counts: Counts, ood_counts: Counts, tpr: float) -> Vector:
    """(R,) `metrics.fpr_at_tpr` where image i counts counts[r, i] times."""
    order, ood_order = np.argsort(ids, kind="stable"), np.argsort(oods, kind="stable")
    reached = id_counts[:, order].cumsum(1, dtype=np.int32)  # (R, M) how many scores up to this one
    rejected_id = reached[:, -1] - metrics.images_for(tpr, reached[:, -1])
    thresholds = ids[order][(reached <= rejected_id[:, None]).sum(1)]
    rejected = np.searchsorted(oods[ood_order], thresholds, side="left")  # (R,) positions
    totals = np.concatenate(
        [np.zeros((len(ood_counts), 1), np.int32), ood_counts[:, ood_order].cumsum(1, dtype=np.int32)], axis=1
    )
    accepted: Vector = 1 - totals[np.arange(len(totals)), rejected] / totals[:, -1]
    return accepted


def _never_empty(counts: Counts) -> Counts:
    """A resample without any image of a population (likely for very few images only) takes each of them once."""
    counts[counts.sum(1) == 0] = 1
    return counts


def _below(scores: Vector, others: Vector) -> Vector:
    """For each score, the share of the others below it; an equal one counts half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(others))


def _normal(effect: float, error: float) -> Difference:
    return _difference(effect, effect - Z * error, effect + Z * error, math.erfc(abs(effect) / error / math.sqrt(2)))


def _difference(effect: float, low: float, high: float, p: float) -> Difference:
    return Difference(effect, max(-1.0, min(low, effect)), min(1.0, max(high, effect)), p)


def _shares(weights: Sequence[float]) -> list[float]:
    if not weights or min(weights) <= 0:
        raise DataError("nothing to compare.", "A comparison needs at least one part, of positive weight.")
    return [weight / math.fsum(weights) for weight in weights]


def _scores(part: Ranking) -> tuple[Vector, Vector, Vector, Vector]:
    id_a, id_b = _column(part.id_a, "ID scores of a"), _column(part.id_b, "ID scores of b")
    ood_a, ood_b = _column(part.ood_a, "OOD scores of a"), _column(part.ood_b, "OOD scores of b")
    _same_length(id_a, id_b)
    _same_length(ood_a, ood_b)
    return id_a, id_b, ood_a, ood_b


def _column(values: ArrayLike, name: str) -> Vector:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise DataError(f"{name} must be a vector of finite numbers, one per image.", "Look for overflow or no images.")
    return array


def _same_length(a: Vector, b: Vector) -> None:
    if len(a) != len(b):
        raise DataError(f"a has {len(a)} images and b has {len(b)}.", "A paired comparison needs the same images.")


def _units(given: ArrayLike | None, size: int, part: int, role: int = 0) -> Units:
    """(N, 3) rows that name each image's unit: the given number, or its part, role and position."""
    named = np.zeros((size, 3), dtype=np.int64)
    if given is None:
        named[:, 0] = 1 + 2 * part + role
        named[:, 1] = np.arange(size)
        return named
    numbers = np.asarray(given, dtype=np.int64)
    if numbers.shape != (size,):
        raise DataError(f"{numbers.size} units were given for {size} images.", "Give one unit per image.")
    named[:, 2] = numbers
    return named


def _positions(units: Sequence[Units]) -> tuple[Units, int]:
    """Each image's unit as a number from 0, over all parts, and how many units there are."""
    _, where = np.unique(np.concatenate(units), axis=0, return_inverse=True)
    return where.reshape(-1), int(where.max()) + 1
