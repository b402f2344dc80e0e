"""Numbers from arrays: accuracy and detection metrics, each with a 95% interval.

**In-distribution (ID) is positive and scores are higher for it**, in every function here. Values are fractions.
Populations are independent samples of images; intervals speak of other images, not of other seeds. Empty input, NaN
and infinity raise `DataError`. AUPR is average precision, not the trapezoid. docs/metrics.md has each rule and what it
does with ties, worked numbers, and how often the intervals hold the true value. Whoever wants several numbers of one
score asks a `stats.detection.Detection`, which sorts once for all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from croftbench.errors import DataError
from croftbench.stats import intervals
from croftbench.stats.detection import Detection, check_share
from croftbench.stats.detection import images_for as images_for
from croftbench.stats.detection import vector as vector
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
    return Detection(id_scores, ood_scores).auroc()


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
    return Detection(id_scores, ood_scores).aupr()


def aupr_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> Estimate:
    """Average precision with OOD positive, on the negated scores: `aupr` with the roles swapped.

    Arguments and interval as in `aupr`: scores are still higher for ID.
    """
    return Detection(id_scores, ood_scores).aupr_out()


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
    positives = vector(id_scores, "ID scores")
    check_share(tpr)
    return np.sort(positives)[len(positives) - images_for(tpr, len(positives))]


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
    return Detection(id_scores, ood_scores).fpr_at_tpr(tpr, seed)


def fpr_at_tpr_percentile(id_scores: ArrayLike, ood_scores: ArrayLike, tpr: float = 0.95, seed: int = 0) -> Estimate:
    """Share of OOD strictly above the linearly interpolated (1 - tpr) percentile of ID: the rule of CRoFT's evaluator.

    Definition A, here to compare with numbers that the authors computed so. Without ties it differs from `fpr_at_tpr`
    by the OOD between two neighbouring ID scores. With ties at the percentile the point need not reach its TPR:
    constant scores get 0, the best there is. Arguments, interval and errors as in `fpr_at_tpr`.
    """
    return Detection(id_scores, ood_scores).fpr_at_tpr_percentile(tpr, seed)


def fpr_at_tpr_ood_positive(id_scores: ArrayLike, ood_scores: ArrayLike, tpr: float = 0.95, seed: int = 0) -> Estimate:
    """Share of ID rejected when at least `tpr` of OOD is rejected; lower is better. FPR95 as in OpenOOD, pytorch-ood.

    They take OOD as positive with the negated score, and the first threshold of the ROC curve with TPR >= `tpr`. That
    is the mirror of `fpr_at_tpr`, with the roles swapped and the order reversed, on any input: scores equal to the
    threshold are rejected. (OpenOOD's call lets scikit-learn leave out points on straight pieces of the curve. Where
    successive thresholds each add ID and OOD in one ratio, as ties can make them, it may read the FPR too far up.)
    Arguments, interval and errors are those of `fpr_at_tpr`: scores are still higher for ID.
    """
    return Detection(id_scores, ood_scores).fpr_at_tpr_ood_positive(tpr, seed)


def fpr_at_nearest_recall(id_scores: ArrayLike, ood_scores: ArrayLike, recall: float = 0.95) -> float:
    """Share of OOD accepted at the threshold whose ID recall is nearest to `recall`.

    Definition B, of MCM's `metric_utils` and CRoFT's kNN tables: thresholds are the distinct scores of both
    populations, a score equal to the threshold is accepted, and of equally near thresholds the lowest counts (near in
    double precision: .9 is a hair nearer to .95 than 1 is). The recall reached may be below the one asked for. It is
    here to compare with numbers that others computed so; it has no interval.
    """
    return Detection(id_scores, ood_scores).fpr_at_nearest_recall(recall)
