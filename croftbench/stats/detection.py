"""One detection score, sorted once for every number that is made of it. docs/metrics.md; rules: `stats.metrics`.

AUROC, average precision, operating points, ties and their intervals depend on the order of the scores alone.
`Detection` sorts each population once, counts both at each distinct score, and hands these to whoever asks.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from croftbench.errors import DataError
from croftbench.stats import intervals
from croftbench.stats.intervals import Counts, Estimate, Measure, Vector


class Detection:
    """ID scores against OOD scores; the methods are the functions of that name in `stats.metrics`, to the last bit.

    Args:
        id_scores: (M,) scores of the positives, higher = more ID.
        ood_scores: (N,) scores of the negatives.

    Raises:
        DataError: empty, no vector, NaN or infinity.
    """

    def __init__(self, id_scores: ArrayLike, ood_scores: ArrayLike) -> None:
        self._id = np.sort(vector(id_scores, "ID scores"))
        self._ood = np.sort(vector(ood_scores, "OOD scores"))

    @cached_property
    def counts(self) -> Counts:
        """Positives and negatives at each distinct score, highest first: (T,), (T,)."""
        scores = np.concatenate([self._id, self._ood])
        order = np.argsort(scores, kind="stable")[::-1]  # a merge: both halves are sorted
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        hits = np.diff(np.cumsum(order < len(self._id))[ends], prepend=0).astype(np.float64)
        return Counts.of(hits, np.diff(ends, prepend=-1) - hits)

    def auroc(self) -> Estimate:
        """Chance that an ID image scores above an OOD image."""
        return intervals.ranking(AUROC, self.counts)

    def aupr(self) -> Estimate:
        """Average precision, ID positive."""
        return intervals.ranking(PRECISION, self.counts)

    def aupr_out(self) -> Estimate:
        """Average precision, OOD positive."""
        seen = self.counts
        return intervals.ranking(PRECISION, Counts.of(seen.alarms[::-1].copy(), seen.hits[::-1].copy()))

    def fpr_at_tpr(self, tpr: float = 0.95, seed: int = 0) -> Estimate:
        """Share of OOD accepted when at least `tpr` of ID is accepted."""
        check_share(tpr)
        threshold = self._id[len(self._id) - images_for(tpr, len(self._id))]
        below = np.searchsorted(self._ood, threshold, side="left")
        return self._point(int(below), tpr, seed)

    def fpr_at_tpr_percentile(self, tpr: float = 0.95, seed: int = 0) -> Estimate:
        """Share of OOD strictly above the interpolated percentile of ID."""
        check_share(tpr)
        below = np.searchsorted(self._ood, np.percentile(self._id, 100 - 100 * tpr), side="right")
        return self._point(int(below), tpr, seed)

    def fpr_at_tpr_ood_positive(self, tpr: float = 0.95, seed: int = 0) -> Estimate:
        """Share of ID rejected when at least `tpr` of OOD is rejected."""
        mirrored = object.__new__(Detection)
        mirrored._id, mirrored._ood = -self._ood[::-1], -self._id[::-1]
        return mirrored.fpr_at_tpr(tpr, seed)

    def fpr_at_nearest_recall(self, recall: float = 0.95) -> float:
        """Share of OOD accepted at the threshold whose ID recall is nearest to `recall`."""
        check_share(recall)
        accepted_id, accepted_ood = self.counts.accepted
        recalls = accepted_id / len(self._id)
        last = int(np.argmax(recalls >= 1))  # thresholds below the first that accepts all ID add nothing but OOD
        distance = np.abs(recalls[: last + 1] - recall)  # from the lowest threshold up: equal recalls take the most OOD
        nearest = last - int(np.argmin(distance[::-1]))
        return float(accepted_ood[nearest] / len(self._ood))

    def ties(self) -> Estimate:
        """Share of all images whose score equals that of an image of the other population."""
        hits, alarms = self.counts.hits, self.counts.alarms
        both = (hits > 0) & (alarms > 0)
        value = float((hits[both].sum() + alarms[both].sum()) / (len(self._id) + len(self._ood)))
        return Estimate(value, value, value)

    def _point(self, rejected: int, tpr: float, seed: int) -> Estimate:
        """So many OOD rejected, as the share that is accepted, with its interval."""
        value = (len(self._ood) - rejected) / len(self._ood)
        return intervals.operating_point(value, self._id, self._ood, tpr, seed)


def vector(values: ArrayLike, name: str) -> Vector:
    """(N,) float64; `name` says in messages what it holds.

    Raises:
        DataError: it is empty, no vector, or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{name} must be a vector, not of shape {array.shape}.", "Give one number per image.")
    if not len(array):
        raise DataError(f"{name} are empty.", "A metric needs at least one image of each population.")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(f"{name} hold {array[bad]} at position {bad}.", "Look for overflow in the method or scorer.")
    return array


def check_share(share: ArrayLike) -> None:
    """Refuse a recall, or several, that leave no threshold to choose.

    Raises:
        DataError: one is outside (0, 1).
    """
    given = np.asarray(share, dtype=np.float64)
    if not ((given > 0) & (given < 1)).all():
        raise DataError(f"a recall of {given} leaves no threshold to choose.", "Give a share between 0 and 1.")


def images_for(share: ArrayLike, total: ArrayLike) -> NDArray[np.int64]:
    """The fewest of `total` images that are at least `share` of them.

    Exact for a share like .95, where a ceiling is not: division rounds k / total to the number nearest to it, which
    for 19 of 20 is the one that .95 stands for, while .95 * 20 may end above 19.
    """
    count = np.floor(np.multiply(share, total)).astype(np.int64)
    fewest: NDArray[np.int64] = count + (count / np.asarray(total) < share)
    return fewest


# ------------------------------------------------------------------------------------- from counts


def _wins(seen: Counts) -> float:
    return float(seen.hits @ _beats(seen) / seen.accepted[0][-1])


def _wins_variance(seen: Counts) -> float:
    """DeLong's."""
    m, n = (accepted[-1] for accepted in seen.accepted)
    beaten = (seen.accepted[0] - seen.hits / 2) / m  # (T,) share of the positives above a negative seen there
    return float(intervals.variance(_beats(seen), seen.hits) / m + intervals.variance(beaten, seen.alarms) / n)


def _beats(seen: Counts) -> Vector:
    """(T,) share of the negatives below a positive seen there."""
    accepted_ood = seen.accepted[1]
    beaten: Vector = 1 - (accepted_ood - seen.alarms / 2) / accepted_ood[-1]
    return beaten


def _precision(seen: Counts) -> float:
    accepted_id, accepted_ood = seen.accepted
    return float(seen.hits @ (accepted_id / (accepted_id + accepted_ood)) / accepted_id[-1])


def _precision_variance(seen: Counts) -> float:
    """The infinitesimal jackknife's."""
    accepted_id, accepted_ood = seen.accepted
    m, n = accepted_id[-1], accepted_ood[-1]
    accepted = accepted_id + accepted_ood
    # An image counts at its own threshold and moves precision at every lower one: derivatives, summed from below.
    slope = seen.hits / accepted**2
    of_positive = accepted_id / accepted + _sum_from_below(slope * accepted_ood)  # (T,) influence of a positive there
    of_negative = -_sum_from_below(slope * accepted_id)
    of_known, of_unknown = intervals.variance(of_positive, seen.hits) / m, intervals.variance(of_negative, seen.alarms)
    return float(of_known + of_unknown * n / m**2)


def _sum_from_below(values: Vector) -> Vector:
    return values[::-1].cumsum()[::-1]


AUROC = Measure(_wins, _wins_variance, unseen=0.15, mirrored=True)
PRECISION = Measure(_precision, _precision_variance, unseen=0.05)
