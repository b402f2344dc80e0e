"""Ties between the populations, counted pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from croftbench.errors import DataError
from croftbench.stats import metrics, ties


def test_ties_by_hand():
    # Of six images only the two that score 2 meet an equal on the other side.
    assert ties.share([1, 1, 2], [2, 3, 0]).value == pytest.approx(2 / 6)
    assert ties.share([1, 1, 1], [1, 1]) == (1, 1, 1)
    assert ties.share([1, 1, 1], [0, 0]).value == 0  # equal among themselves: nothing depends on their order


def test_only_ties_across_move_the_numbers():
    draw = np.random.default_rng(0)
    inside, outside = draw.integers(0, 12, 60).astype(float), draw.integers(0, 9, 40).astype(float)
    pairs = inside[:, None] == outside
    assert ties.share(inside, outside).value == pytest.approx((pairs.any(1).sum() + pairs.any(0).sum()) / 100)
    up, down = (metrics.auroc(inside + nudge, outside).value for nudge in (1e-6, -1e-6))
    assert up - down == pytest.approx(pairs.mean())  # what an order among the tied images could change


def test_saturated_probabilities_tie_in_float32_and_not_in_float64():
    odds = np.linspace(18, 30, 100)
    for kind, share in ((np.float32, 1.0), (np.float64, 0.0)):
        probability = (1 / (1 + np.exp(-odds))).astype(kind)
        assert ties.share(probability[::2], probability[1::2]).value == share


def test_what_is_no_score_is_refused():
    with pytest.raises(DataError, match="empty"):
        ties.share([], [1])
