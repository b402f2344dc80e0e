"""Numbers from arrays: accuracy and detection metrics, each with a 95% interval.

**In-distribution (ID) is positive and scores are higher for it**, in every function here. Values are fractions.
Populations are independent samples of images; intervals speak of other images, not of other seeds. Empty input, NaN
and infinity raise `DataError`. AUPR is average precision, not the trapezoid. docs/metrics.md has each rule and what it
does with ties, worked numbers, and how often the intervals hold the true value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from croftbench.errors import DataError
from croftbench.stats import intervals
from croftbench.stats.intervals import Estimate, Vector

# ------------------------------------------------------------------------------------- classification


def accuracy(predicted: ArrayLike, labels: ArrayLike) -> Estimate:
    """Share of (N,) predicted labels that are right, with Wilson's interval.

    Raises:
        DataError: empty, or not two vectors of the same length.
    """
    guess, truth = vector(predicted, "predicted labels"), vector(labels, "labels")
    if len(guess) != len(truth):
        raise DataError(f"accuracy got {len(guess)} predictions for {len(truth)} labels.", "Give one per image.")
    return intervals.share(float((guess == truth).mean()), len(truth))


# ------------------------------------------------------------------------------------- ranking


def auroc(id_scores: ArrayLike, ood_scores: ArrayLike) -> Estimate:
    """Chance that an ID image scores above an OOD image, ties counting half; O(n log n).

    The interval's variance is DeLong's (Biometrics 1988), from sorted scores instead of all pairs (after Sun and Xu,
    IEEE SPL 2014); see `intervals.ranking` for what is done near 0 and 1.

    Args:
        id_scores: (M,) scores of the positives, higher = more ID.
        ood_scores: (N,) scores of the negatives.
    """
    positives, negatives = _populations(id_scores, ood_scores)
    return intervals.ranking(_wins, *_counts_by_threshold(positives, negatives))


def aupr(id_scores: ArrayLike, ood_scores: ArrayLike) -> Estimate:
    """Average precision with ID positive: precision at each distinct threshold, weighted by the recall it adds.

    AUPR-in as average precision, the same number as scikit-learn's `average_precision_score` and MCM's. OpenOOD and
    pytorch-ood take the trapezoid under that curve, `auc(recall, precision)`: a step in recall gets the mean of the
    precisions at its two ends, the first of which is 1 by convention, where average precision takes the one reached.
    On many distinct scores the two are close; constant scores of as many ID as OOD get .75 there and .5 here. AUPR
    depends on the ratio of the two populations, which the interval takes as given.

    The interval's variance is the infinitesimal jackknife's: what the bootstrap's tends to as resamples grow, in closed
    form; see `intervals.ranking`.

    Args:
        id_scores: (M,) scores of the positives, higher = more ID.
        ood_scores: (N,) scores of the negatives.
    """
    positives, negatives = _populations(id_scores, ood_scores)
    return intervals.ranking(_precision, *_counts_by_threshold(positives, negatives))


def aupr_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> Estimate:
    """Average precision with OOD positive, on the negated scores: `aupr` with the roles swapped.

    Arguments and interval as in `aupr`: scores are still higher for ID.
    """
    hits, alarms = _counts_by_threshold(*_populations(id_scores, ood_scores))
    return intervals.ranking(_precision, alarms[::-1].copy(), hits[::-1].copy())


# ------------------------------------------------------------------------------------- operating points


def threshold_at_tpr(id_scores: ArrayLike, tpr: ArrayLike = 0.95) -> Vector:
    """The largest thresholds at which at least `tpr` of the ID scores are accepted, equal ones included.

    A threshold that reaches `tpr` always exists, whatever the ties: the smallest score accepts all.

    Args:
        id_scores: (M,) scores of the positives, higher = more ID.
        tpr: (...) shares of ID to accept, each between 0 and 1.

    Returns:
        (...) thresholds: each is one of the ID scores.

    Raises:
        DataError: no scores, scores that are not finite, or a share outside (0, 1).
    """
    positives, share = vector(id_scores, "ID scores"), np.asarray(tpr, dtype=np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise DataError(f"a recall of {share} leaves no threshold to choose.", "Give a share between 0 and 1.")
    return np.sort(positives)[len(positives) - images_for(share, len(positives))]


def images_for(share: ArrayLike, total: ArrayLike) -> NDArray[np.int64]:
    """The fewest of `total` images that are at least `share` of them.

    Exact for a share like .95, where a ceiling is not: division rounds k / total to the number nearest to it, which
    for 19 of 20 is the one that .95 stands for, while .95 * 20 may end above 19.
    """
    count = np.floor(np.multiply(share, total)).astype(np.int64)
    fewest: NDArray[np.int64] = count + (count / np.asarray(total) < share)
    return fewest


def fpr_at_tpr(id_scores: ArrayLike, ood_scores: ArrayLike, tpr: float = 0.95, seed: int = 0) -> Estimate:
    """Share of OOD accepted when at least `tpr` of ID is accepted; lower is better. With tpr = .95: FPR95, ID positive.

    The threshold is that of `threshold_at_tpr`, and scores equal to it are accepted, so that the point always reaches
    its TPR: constant scores accept all ID and all OOD, an FPR of 1. Others differ on ties and small samples:
    `fpr_at_tpr_percentile`, `fpr_at_nearest_recall`; and OpenOOD and pytorch-ood take OOD as positive,
    `fpr_at_tpr_ood_positive`. docs/metrics.md has worked numbers of each.

    The interval is that of `intervals.operating_point`.

    Args:
        id_scores: (M,) scores of the positives, higher = more ID.
        ood_scores: (N,) scores of the negatives.
        tpr: share of ID to accept, between 0 and 1.
        seed: of the interval's draws.

    Raises:
        DataError: also for a `tpr` outside (0, 1).
    """
    positives, negatives = _populations(id_scores, ood_scores)
    value = float((negatives >= threshold_at_tpr(positives, tpr)).mean())
    return intervals.operating_point(value, positives, negatives, tpr, seed)


def fpr_at_tpr_percentile(id_scores: ArrayLike, ood_scores: ArrayLike, tpr: float = 0.95, seed: int = 0) -> Estimate:
    """Share of OOD strictly above the linearly interpolated (1 - tpr) percentile of ID: the rule of CRoFT's evaluator.

    Definition A, here to compare with numbers that the authors computed so. Without ties it differs from `fpr_at_tpr`
    by the OOD between two neighbouring ID scores. With ties at the percentile the point need not reach its TPR:
    constant scores get 0, the best there is. Arguments, interval and errors as in `fpr_at_tpr`.
    """
    positives, negatives = _populations(id_scores, ood_scores)
    _check_share(tpr)
    value = float((negatives > np.percentile(positives, 100 - 100 * tpr)).mean())
    return intervals.operating_point(value, positives, negatives, tpr, seed)


def fpr_at_tpr_ood_positive(id_scores: ArrayLike, ood_scores: ArrayLike, tpr: float = 0.95, seed: int = 0) -> Estimate:
    """Share of ID rejected when at least `tpr` of OOD is rejected; lower is better. FPR95 as in OpenOOD, pytorch-ood.

    They take OOD as positive with the negated score, and the first threshold of the ROC curve with TPR >= `tpr`. That
    is the mirror of `fpr_at_tpr`, with the roles swapped and the order reversed, on any input: scores equal to the
    threshold are rejected. (OpenOOD's call lets scikit-learn leave out points on straight pieces of the curve. Where
    successive thresholds each add ID and OOD in one ratio, as ties can make them, it may read the FPR too far up.)
    Arguments, interval and errors are those of `fpr_at_tpr`: scores are still higher for ID.
    """
    positives, negatives = _populations(id_scores, ood_scores)
    return fpr_at_tpr(-negatives, -positives, tpr, seed)


def fpr_at_nearest_recall(id_scores: ArrayLike, ood_scores: ArrayLike, recall: float = 0.95) -> float:
    """Share of OOD accepted at the threshold whose ID recall is nearest to `recall`.

    Definition B, of MCM's `metric_utils` and CRoFT's kNN tables: thresholds are the distinct scores of both
    populations, a score equal to the threshold is accepted, and of equally near thresholds the lowest counts (near in
    double precision: .9 is a hair nearer to .95 than 1 is). The recall reached may be below the one asked for. It is
    here to compare with numbers that others computed so; it has no interval.
    """
    positives, negatives = _populations(id_scores, ood_scores)
    _check_share(recall)
    hits, alarms = _counts_by_threshold(positives, negatives)
    recalls = hits.cumsum() / len(positives)
    last = int(np.argmax(recalls >= 1))  # thresholds below the first that accepts all ID add nothing but OOD
    distance = np.abs(recalls[: last + 1] - recall)  # from the lowest threshold up, so equal recalls take the most OOD
    nearest = last - int(np.argmin(distance[::-1]))
    return float(alarms.cumsum()[nearest] / len(negatives))


# ------------------------------------------------------------------------------------- parts


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


def _populations(id_scores: ArrayLike, ood_scores: ArrayLike) -> tuple[Vector, Vector]:
    return vector(id_scores, "ID scores"), vector(ood_scores, "OOD scores")


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise DataError(f"a recall of {share} leaves no threshold to choose.", "Give a share between 0 and 1.")


def _counts_by_threshold(positives: Vector, negatives: Vector) -> tuple[Vector, Vector]:
    """Positives and negatives at each distinct score, highest first: (T,), (T,)."""
    scores = np.concatenate([positives, negatives])
    order = np.argsort(-scores)  # not a stable sort, which takes longer: counts do not ask who of a tie comes first
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.diff(np.cumsum(order < len(positives))[ends], prepend=0)
    return hits.astype(np.float64), np.diff(ends, prepend=-1) - hits.astype(np.float64)


def _wins(hits: Vector, alarms: Vector) -> tuple[float, float]:
    """AUROC and its variance, from counts at each threshold."""
    accepted_id, accepted_ood = hits.cumsum(), alarms.cumsum()
    m, n = accepted_id[-1], accepted_ood[-1]
    beats = 1 - (accepted_ood - alarms / 2) / n  # (T,) share of the negatives below a positive seen there
    beaten = (accepted_id - hits / 2) / m  # share of the positives above a negative seen there
    return float(hits @ beats / m), intervals.variance(beats, hits) / m + intervals.variance(beaten, alarms) / n


def _precision(hits: Vector, alarms: Vector) -> tuple[float, float]:
    """Average precision and its variance, from counts at each threshold."""
    accepted_id, accepted_ood = hits.cumsum(), alarms.cumsum()
    m, n = accepted_id[-1], accepted_ood[-1]
    accepted = accepted_id + accepted_ood
    precision = accepted_id / accepted
    # An image counts at its own threshold and moves precision at every lower one: derivatives, summed from below.
    slope = hits / accepted**2
    of_positive = precision + _sum_from_below(slope * accepted_ood)  # (T,) influence of a positive seen there
    of_negative = -_sum_from_below(slope * accepted_id)
    spread = intervals.variance(of_positive, hits) / m + intervals.variance(of_negative, alarms) * n / m**2
    return float(hits @ precision / m), spread


def _sum_from_below(values: Vector) -> Vector:
    return values[::-1].cumsum()[::-1]
