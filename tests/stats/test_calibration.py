"""Calibration and selection: known cases, and restatements that a reader can check at a glance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croftbench.errors import DataError
from croftbench.stats import calibration


@pytest.fixture
def images():
    """400 images whose confidence overstates their accuracy, with many ties."""
    draw = np.random.default_rng(0)
    confidence = draw.beta(4, 2, 400).round(2)
    return confidence, draw.random(400) < confidence**2


def slow_ece(confidence, correct, edges):
    """Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() / len(correct) * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def slow_aurc(scores, correct):
    """Geifman et al. 2019: the mean, over images, of the risk of everything scored at least as high."""
    return np.mean([1 - correct[scores >= score].mean() for score in scores])


def test_ece_is_the_paper_s(images):
    confidence, correct = images
    assert calibration.ece(confidence, correct).value == pytest.approx(
        slow_ece(confidence, correct, np.linspace(0, 1, 16))
    )
    assert calibration.ece(confidence, correct).value > 0.1


def test_intervals_follow_the_images(images):
    """An image that is left out moves the number by its influence: the jackknife, image by image."""
    confidence, correct = images
    for metric, slow in ((calibration.aurc, slow_aurc), (calibration.ece, None)):
        value, low, high = metric(confidence, correct)
        without = [np.delete(np.arange(400), i) for i in range(400)]
        again = np.array([slow(confidence[w], correct[w]) if slow else metric(confidence[w], correct[w]).value
                          for w in without])  # fmt: skip
        error = np.sqrt(399 / 400 * ((again - again.mean()) ** 2).sum())
        assert (value - low, high - value) == pytest.approx((1.96 * error, 1.96 * error), rel=0.1)


def test_where_no_image_is_wrong_the_interval_is_that_of_a_share_never_seen():
    for found in (calibration.aurc(np.arange(20), np.ones(20)), calibration.ece(np.ones(20), np.ones(20))):
        assert found == pytest.approx((0, 0, 1.96**2 / (20 + 1.96**2)), abs=1e-4)  # Wilson's end at 0 of 20


def test_ece_by_hand():
    # (13/15, 14/15]: .9 twice, one right; (8/15, 9/15]: .6 once, right.
    assert calibration.ece([0.9, 0.9, 0.6], [1, 0, 1]).value == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.4)
    bins = calibration.reliability([0.9, 0.9, 0.6], [1, 0, 1])
    assert bins.images.tolist() == [1, 2]
    assert bins.accuracy.tolist() == [1, 0.5]
    assert bins.high.tolist() == pytest.approx([9 / 15, 14 / 15])


def test_a_confidence_on_an_edge_belongs_below_and_zero_to_the_first_bin():
    bins = calibration.reliability([0.0, 0.5, 0.51, 1.0], [0, 1, 1, 1], count=2)
    assert bins.images.tolist() == [2, 2]
    assert bins.low.tolist() == [0, 0.5]


def test_a_sure_and_right_classifier_is_calibrated_and_a_sure_and_wrong_one_is_not():
    for adaptive in (False, True):
        assert calibration.ece(np.ones(20), np.ones(20), adaptive=adaptive).value == 0
        assert calibration.ece(np.ones(20), np.zeros(20), adaptive=adaptive).value == 1


def test_adaptive_bins_hold_equally_many(images):
    confidence = np.random.default_rng(1).beta(8, 1, 300)
    bins = calibration.reliability(confidence, confidence > 0.8, 10, adaptive=True)
    assert bins.images.tolist() == [30] * 10
    assert bins.gap == pytest.approx(slow_ece(confidence, confidence > 0.8, [0, *bins.high]))
    tied = calibration.reliability(*images, adaptive=True)
    assert tied.images.sum() == 400
    assert len(tied.images) <= 15


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_images_does_not_matter(seed):
    draw = np.random.default_rng(seed)
    scores, correct = draw.integers(0, 8, 40) / 8, draw.random(40) < 0.6
    order = draw.permutation(40)
    for adaptive in (False, True):
        same = calibration.ece(scores[order], correct[order], adaptive=adaptive).value
        assert same == pytest.approx(calibration.ece(scores, correct, adaptive=adaptive).value, abs=1e-12)
    assert calibration.aurc(scores[order], correct[order]).value == pytest.approx(slow_aurc(scores, correct), abs=1e-12)
    assert (
        calibration.aurc(scores**3 - 5, correct).value == calibration.aurc(scores, correct).value
    )  # only the order counts


def test_risk_coverage_by_hand():
    curve = calibration.risk_coverage([4, 3, 2, 2, 1], [1, 0, 1, 1, 0])
    assert curve.coverage.tolist() == pytest.approx([0.2, 0.4, 0.8, 1])
    assert curve.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 4, 2 / 5])
    assert calibration.aurc([4, 3, 2, 2, 1], [1, 0, 1, 1, 0]).value == pytest.approx((0 + 0.5 + 0.25 + 0.25 + 0.4) / 5)


def test_aurc_of_the_best_and_the_worst_order():
    correct = np.repeat([1, 0], [60, 40])
    best, worst = calibration.aurc(-np.arange(100), correct).value, calibration.aurc(np.arange(100), correct).value
    assert best == pytest.approx(sum(k / (60 + k) for k in range(1, 41)) / 100)
    assert best < 0.4 < worst
    assert calibration.aurc(np.zeros(100), correct).value == pytest.approx(0.4)  # no order at all: the error rate


def test_accepted_counts_the_open_set_as_wrong():
    right = [1, 1, 0, 1]
    rows = calibration.accepted([9, 7, 5, 3], right, [8, 4, 2, 1], [0.25, 0.5, 0.51, 1.0])
    assert [row.accepted for row in rows] == [2, 4, 5, 8]
    assert [row.accuracy.value for row in rows] == pytest.approx([1 / 2, 2 / 4, 2 / 5, 3 / 8])
    assert all(0 <= row.accuracy.low < row.accuracy.value < row.accuracy.high <= 1 for row in rows)


def test_accepted_takes_tied_images_together():
    (row,) = calibration.accepted([1, 1, 0], [1, 0, 1], [1], [0.25])
    assert (row.rate, row.accepted) == (0.25, 3)
    assert row.accuracy.value == pytest.approx(1 / 3)


def test_accepted_agrees_with_the_curve(images):
    _, correct = images
    scores = np.random.default_rng(2).normal(size=500)
    curve = calibration.risk_coverage(scores, np.concatenate([correct, np.zeros(100)]))
    for row in calibration.accepted(scores[:400], correct, scores[400:], [0.1, 0.3, 0.95]):
        assert row.accuracy.value == pytest.approx(1 - curve.risk[row.accepted - 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration.ece([], []), "empty"),
        (lambda: calibration.ece([1.2], [1]), r"outside \[0, 1\].*msp"),
        (lambda: calibration.ece([0.5, float("nan")], [1, 1]), "nan at position 1"),
        (lambda: calibration.aurc([1, 2], [1]), "2 scores and 1"),
        (lambda: calibration.accepted([1], [1], [1], [0.0]), r"\(0, 1\]"),
        (lambda: calibration.accepted([1], [1], [], [0.5]), "OOD scores are empty"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_confidences_come_from_log_odds():
    assert calibration.probability([0.0, np.log(3), -np.log(3)]) == pytest.approx([0.5, 0.75, 0.25])
    assert calibration.probability([800.0, -800.0]).tolist() == [1.0, 0.0]
