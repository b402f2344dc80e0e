"""How much of a detection is decided by a coin: images whose score cannot tell known from unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from croftbench.stats import intervals, metrics

LIMIT = 0.05
"""Tables and records warn above this share."""


def share(id_scores: ArrayLike, ood_scores: ArrayLike) -> intervals.Estimate:
    """Share of all images whose score equals that of an image of the other population.

    Only such ties move AUROC, AUPR and FPR95: any order among equal scores of one population gives the same numbers.
    A constant score has 1, a score that tells all images apart 0. It speaks of these images and no others: its interval
    is itself.

    Args:
        id_scores: (M,) scores of the positives.
        ood_scores: (N,) scores of the negatives.

    Raises:
        DataError: empty, NaN or infinity.
    """
    inside, outside = metrics.vector(id_scores, "ID scores"), metrics.vector(ood_scores, "OOD scores")
    tied = np.isin(inside, outside).sum() + np.isin(outside, inside).sum()
    value = float(tied / (len(inside) + len(outside)))
    return intervals.Estimate(value, value, value)
