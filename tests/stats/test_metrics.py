"""Metrics against recorded values, independent restatements, and properties."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from croftbench.errors import DataError
from croftbench.stats import metrics
from croftbench.stats.intervals import Estimate

Metric = Callable[..., Estimate]
DETECTION: list[Metric] = [
    metrics.auroc,
    metrics.aupr,
    metrics.aupr_out,
    metrics.fpr_at_tpr,
    metrics.fpr_at_tpr_ood_positive,
]
RECORDED = [
    "gauss",
    "gauss_float32",
    "ties_int",
    "ties_heavy",
    "all_equal",
    "perfect",
    "reversed",
    "n_pos_10",
    "n_pos_20",
    "n_pos_19",
    "one_pos",
    "one_neg",
    "dup_at_cut",
]

scores = st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=30)


# ------------------------------------------------------------------------------------- recorded values


def test_recorded_cases_are_all_tested(oracle):
    assert set(oracle("metrics")["names"]) == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_published_measures(oracle, close, name):
    recorded = oracle("metrics")
    id_scores, ood_scores = recorded[f"{name}_pos"], recorded[f"{name}_neg"]
    auroc, aupr, fpr95 = recorded[f"{name}_auroc_aupr_fpr"]
    close(metrics.auroc(id_scores, ood_scores).value, auroc)
    close(metrics.aupr(id_scores, ood_scores).value, aupr)
    close(metrics.fpr_at_nearest_recall(id_scores, ood_scores), fpr95)
    close(metrics.fpr_at_nearest_recall(id_scores, ood_scores, 0.8), recorded[f"{name}_fpr80"])


def test_published_protocol_uses_the_percentile_rule(oracle, close):
    recorded = oracle("protocols")
    for setup, known in (("setup1", "val"), ("setup2", "test")):
        right = recorded[f"{known}_logits"].argmax(1) == recorded[f"{known}_label"]
        positives, negatives = recorded[f"{known}_energy"][right], recorded["ood_energy"]
        _, fpr95, auroc, threshold = recorded[f"{setup}_acc_fpr_auroc_thr"]
        close(np.percentile(positives, 5), threshold)
        close(metrics.fpr_at_tpr_percentile(positives, negatives).value, fpr95)
        close(metrics.auroc(positives, negatives).value, auroc)
    labels = recorded["test_label"]
    accuracy = metrics.accuracy(recorded["test_logits"].argmax(1), labels).value
    close(100 * accuracy, recorded["setup1_test_accuracy_percent"])


def test_the_two_meanings_of_fpr95():
    """ID ~ N(2, 1), OOD ~ N(0, 2): 0.428 with ID positive, 0.899 with OOD positive."""
    draw = np.random.default_rng(0)
    id_scores, ood_scores = draw.normal(2, 1, 50_000), draw.normal(0, 2, 50_000)
    assert round(metrics.fpr_at_tpr(id_scores, ood_scores).value, 3) == 0.428
    assert round(metrics.fpr_at_tpr_ood_positive(id_scores, ood_scores).value, 3) == 0.899


# ------------------------------------------------------------------------------------- restatements


@given(scores, scores)
def test_restatements(id_scores, ood_scores):
    pairs = [(i > o) + (i == o) / 2 for i in id_scores for o in ood_scores]
    assert metrics.auroc(id_scores, ood_scores).value == pytest.approx(np.mean(pairs))
    labels, both = [1] * len(id_scores) + [0] * len(ood_scores), id_scores + ood_scores
    assert metrics.auroc(id_scores, ood_scores).value == pytest.approx(roc_auc_score(labels, both))
    assert metrics.aupr(id_scores, ood_scores).value == pytest.approx(average_precision_score(labels, both))
    out = metrics.aupr_out(id_scores, ood_scores).value
    assert out == pytest.approx(average_precision_score(1 - np.array(labels), -np.array(both)))
    threshold = np.percentile(id_scores, 5)
    accepted = sum(score > threshold for score in ood_scores) / len(ood_scores)
    assert metrics.fpr_at_tpr_percentile(id_scores, ood_scores).value == pytest.approx(accepted)


def shares_accepted(scores: list[float], threshold: float) -> Fraction:
    return Fraction(sum(score >= threshold for score in scores), len(scores))


@given(scores, scores, st.sampled_from([Fraction(19, 20), Fraction(9, 10), Fraction(1, 2), Fraction(1, 100)]))
def test_an_operating_point_reaches_its_tpr_and_no_higher_threshold_does(id_scores, ood_scores, tpr):
    """In whole numbers: no rounding decides which score is the threshold."""
    reaching = [t for t in id_scores if shares_accepted(id_scores, t) >= tpr]
    assert metrics.threshold_at_tpr(id_scores, float(tpr)) == max(reaching)
    accepted = shares_accepted(ood_scores, max(reaching))
    assert metrics.fpr_at_tpr(id_scores, ood_scores, float(tpr)).value == float(accepted)


@pytest.mark.parametrize("size", [20, 40, 60, 100, 180, 200, 45_000])
def test_no_image_is_lost_to_rounding(size):
    """Where .95 of the images is a whole number, that many are enough."""
    assert metrics.threshold_at_tpr(np.arange(size)) == size // 20


def first_point(id_scores, ood_scores, **how) -> float:
    """FPR95 as OpenOOD has it: OOD positive, scores negated, the first point of the ROC curve with TPR >= .95."""
    labels = [0] * len(id_scores) + [1] * len(ood_scores)
    fpr, tpr, _ = roc_curve(labels, -np.array([*id_scores, *ood_scores]), **how)
    return float(fpr[np.argmax(tpr >= 0.95)])


@given(scores, scores)
def test_ood_positive_is_the_first_point_of_the_roc_curve(id_scores, ood_scores):
    ours = metrics.fpr_at_tpr_ood_positive(id_scores, ood_scores).value
    assert ours == first_point(id_scores, ood_scores, drop_intermediate=False)
    every = np.random.default_rng(len(id_scores)).permutation(len(id_scores) + len(ood_scores))  # no ties
    id_scores, ood_scores = every[: len(id_scores)], every[len(id_scores) :]
    assert metrics.fpr_at_tpr_ood_positive(id_scores, ood_scores).value == first_point(id_scores, ood_scores)


def test_points_left_out_of_a_straight_roc_curve_move_only_the_other_library():
    """One ID and one OOD at each of 40 scores: a straight curve, of which scikit-learn's default keeps the ends."""
    ladder = np.arange(40.0)
    assert metrics.fpr_at_tpr_ood_positive(ladder, ladder).value == 0.95
    assert first_point(ladder, ladder) == 1


def test_constant_scores_detect_nothing():
    """Accepting 95% of ID accepts everything; the percentile rule calls it perfect."""
    same = np.ones(50)
    assert [metric(same, same[:30]).value for metric in DETECTION] == [0.5, 50 / 80, 30 / 80, 1, 1]
    assert metrics.fpr_at_tpr_percentile(same, same).value == 0


def test_delong_is_the_variance_over_pairs():
    """The standard error from the (M, N) matrix of comparisons, at a size where what is unseen adds little."""
    draw = np.random.default_rng(3)
    id_scores, ood_scores = draw.normal(1, 1, 400).round(1), draw.normal(0, 1, 300).round(1)
    wins = (id_scores[:, None] > ood_scores) + (id_scores[:, None] == ood_scores) / 2
    error = np.sqrt(wins.mean(1).var(ddof=1) / 400 + wins.mean(0).var(ddof=1) / 300)
    value, low, high = metrics.auroc(id_scores, ood_scores)
    logit = np.log(np.array([low, high]) / (1 - np.array([low, high])))
    assert np.diff(logit)[0] / 2 == pytest.approx(NormalDist().inv_cdf(0.975) * error / (value * (1 - value)), rel=0.01)


def test_aupr_error_is_the_jackknife():
    """Leaving each image out in turn, at a size where the infinitesimal form agrees and the unseen adds little."""
    draw = np.random.default_rng(4)
    id_scores, ood_scores = draw.normal(1, 1, 300).round(2), draw.normal(0, 1, 200).round(2)

    def precision(positives: np.ndarray, negatives: np.ndarray, weight: float) -> float:
        counts = np.array([[(positives >= t).sum(), weight * (negatives >= t).sum()] for t in positives])
        return float((counts[:, 0] / counts.sum(1)).mean())

    # Dropping a negative must not change the ratio of the populations, which the interval takes as given.
    without_id = [precision(np.delete(id_scores, i), ood_scores, 299 / 300) for i in range(300)]
    without_ood = [precision(id_scores, np.delete(ood_scores, i), 200 / 199) for i in range(200)]
    error = np.sqrt(np.var(without_id) * 299 + np.var(without_ood) * 199)
    value, low, high = metrics.aupr(id_scores, ood_scores)
    logit = np.log(np.array([low, high]) / (1 - np.array([low, high])))
    expected = NormalDist().inv_cdf(0.975) * error / (value * (1 - value))
    assert np.diff(logit)[0] / 2 == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("right", "total"), [(0, 5), (7, 20), (20, 20), (49_000, 50_000)])
def test_wilson(right, total):
    interval = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    estimate = metrics.accuracy([1] * total, [1] * right + [0] * (total - right))
    assert estimate == pytest.approx((right / total, interval.low, interval.high), abs=1e-12)


# ------------------------------------------------------------------------------------- properties


@settings(max_examples=40)
@given(scores, scores)
def test_only_the_order_matters(id_scores, ood_scores):
    """A monotone map changes no value and no interval."""
    for metric in DETECTION:
        assert metric(np.exp(id_scores), np.exp(ood_scores)) == metric(id_scores, ood_scores)


@settings(max_examples=40)
@given(scores, scores)
def test_swapping_the_roles(id_scores, ood_scores):
    forward, backward = metrics.auroc(id_scores, ood_scores), metrics.auroc(ood_scores, id_scores)
    assert forward.value == pytest.approx(1 - backward.value)
    assert (forward.low, forward.high) == pytest.approx((1 - backward.high, 1 - backward.low), abs=1e-9)
    minus_id, minus_ood = -np.array(id_scores), -np.array(ood_scores)
    mirrored = metrics.fpr_at_tpr(minus_ood, minus_id)
    assert metrics.fpr_at_tpr_ood_positive(id_scores, ood_scores) == mirrored


@settings(max_examples=60)
@given(scores, scores)
def test_intervals_hold_their_value(id_scores, ood_scores):
    for metric in DETECTION:
        value, low, high = metric(id_scores, ood_scores)
        assert 0 <= low <= value <= high <= 1


def test_higher_means_more_id():
    good, bad = [3.0, 4.0, 5.0], [0.0, 1.0, 2.0]
    assert [metric(good, bad).value for metric in DETECTION] == [1, 1, 1, 0, 0]
    assert [metric(bad, good).value for metric in DETECTION[:1] + DETECTION[3:]] == [0, 1, 1]


@pytest.mark.parametrize("metric", DETECTION)
def test_intervals_are_reproducible_and_shrink(metric):
    draw = np.random.default_rng(0)
    id_scores, ood_scores = draw.normal(2, 1, 4000), draw.normal(0, 2, 3000)
    large = metric(id_scores, ood_scores)
    assert metric(id_scores, ood_scores) == large
    small = metric(id_scores[:250], ood_scores[:250])
    assert large.high - large.low < 0.5 * (small.high - small.low)


def test_perfect_separation_is_not_certain():
    """No error among 50 images says little about the next 50."""
    value, low, high = metrics.auroc(np.arange(50) + 100, np.arange(60))
    assert value == high == 1
    assert 0.90 < low < 0.95


# ------------------------------------------------------------------------------------- coverage


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_coverage_of_accuracy(rate):
    draw = np.random.default_rng(1)
    right = draw.random((1500, 250)) < rate
    estimates = [metrics.accuracy(row, np.ones(250)) for row in right]
    assert 0.93 <= np.mean([one.low <= rate <= one.high for one in estimates]) <= 0.97


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("metric", [*DETECTION, metrics.fpr_at_nearest_recall])
@pytest.mark.parametrize(
    ("bad", "message"),
    [([], "are empty"), ([0.1, np.nan], "nan at position 1"), ([np.inf], "inf at position 0"), ([[1.0]], "vector")],
)
def test_bad_scores(metric, bad, message):
    with pytest.raises(DataError, match=message) as caught:
        metric([1.0, 2.0], bad)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="ID scores"):
        metric(bad, [1.0, 2.0])


def test_bad_arguments():
    with pytest.raises(DataError, match="2 predictions for 3 labels"):
        metrics.accuracy([0, 1], [0, 1, 1])
    with pytest.raises(DataError, match="empty"):
        metrics.accuracy([], [])
    for share in (0, 1, 95):
        with pytest.raises(DataError, match="between 0 and 1"):
            metrics.fpr_at_tpr([1.0], [0.0], share)
