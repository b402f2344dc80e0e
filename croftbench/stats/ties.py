"""How much of a detection is decided by a coin: images whose score cannot tell known from unknown."""

from __future__ import annotations

from numpy.typing import ArrayLike

from croftbench.stats.detection import Detection
from croftbench.stats.intervals import Estimate

LIMIT = 0.05
"""Tables and records warn above this share."""


def share(id_scores: ArrayLike, ood_scores: ArrayLike) -> Estimate:
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
    return Detection(id_scores, ood_scores).ties()
