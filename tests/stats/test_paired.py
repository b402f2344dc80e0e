"""Paired tests against independent restatements, and their calibration in simulated experiments."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from croftbench.errors import DataError
from croftbench.stats import metrics, paired
from croftbench.stats.intervals import Z
from croftbench.stats.paired import Answers, Ranking


def ranking(draw, m=120, n=150, shift=1.5, worse=0.0, noise=0.7):
    """Two noisy looks at the same images; `worse` lifts b's OOD scores."""
    inside, outside = draw.normal(shift, 1, m), draw.normal(0, 1, n)
    look = [values + draw.normal(0, noise, len(values)) for values in (inside, inside, outside, outside)]
    return Ranking(look[0], look[1], look[2], look[3] + worse)


# ------------------------------------------------------------------------------------- restatements


@pytest.mark.parametrize(
    ("both", "a_only", "b_only", "none"), [(50, 12, 5, 30), (3, 1, 1, 0), (0, 0, 9, 4), (5, 0, 0, 5)]
)
def test_accuracy_is_mcnemar_with_agresti_and_min(both, a_only, b_only, none):
    a = [1] * (both + a_only) + [0] * (b_only + none)
    b = [1] * both + [0] * a_only + [1] * b_only + [0] * none
    result = paired.accuracy([Answers(a, b)])
    assert result.effect == pytest.approx((a_only - b_only) / len(a))
    exact = stats.binomtest(a_only, a_only + b_only).pvalue if a_only + b_only else 1
    assert result.p == pytest.approx(exact)
    more, less, total = a_only + 0.5, b_only + 0.5, len(a) + 2
    centre, error = (more - less) / total, np.sqrt(more + less - (more - less) ** 2 / total) / total
    low, high = centre - Z * error, centre + Z * error
    assert (result.low, result.high) == pytest.approx((max(low, -1), min(high, 1)))


def test_units_flip_together():
    """The p of clustered answers, from all sign flips of the clusters' sums, with parts of different sizes."""
    draw = np.random.default_rng(0)
    for _ in range(10):
        parts = [Answers(draw.random(n) < 0.7, draw.random(n) < 0.4, draw.integers(0, 9, n)) for n in (11, 11, 7)]
        gains = np.zeros(9)
        for a, b, units, _weight in parts:
            np.add.at(gains, units, (a.astype(float) - b) / len(a) / 3)
        sums = [np.dot(gains, signs) for signs in itertools.product((-1, 1), repeat=9)]
        result = paired.accuracy(parts)
        assert result.effect == pytest.approx(gains.sum())
        assert result.p == pytest.approx(np.mean(np.abs(sums) >= abs(gains.sum()) - 1e-9), abs=2e-3)


def test_auroc_is_delong_over_pairs():
    """The standard error from the (M, N) matrices of comparisons, as the definition has it."""
    draw = np.random.default_rng(1)
    one = Ranking(*(values.round(1) for values in ranking(draw, 40, 30, worse=0.5)[:4]))
    wins = [(i[:, None] > o) + (i[:, None] == o) / 2 for i, o in ((one.id_a, one.ood_a), (one.id_b, one.ood_b))]
    difference = wins[0] - wins[1]
    error = np.sqrt(difference.mean(1).var(ddof=1) / 40 + difference.mean(0).var(ddof=1) / 30)
    result = paired.auroc([one])
    assert result.effect == pytest.approx(difference.mean())
    assert (result.high - result.low) / 2 == pytest.approx(Z * error)
    assert result.p == pytest.approx(2 * stats.norm.sf(abs(difference.mean()) / error))


def test_effects_are_differences_of_the_metrics():
    draw = np.random.default_rng(2)
    parts = [ranking(draw, m, n) for m, n in ((60, 80), (41, 33))]
    for test, metric in ((paired.auroc, metrics.auroc), (paired.fpr_at_tpr, metrics.fpr_at_tpr)):
        apart = [metric(p.id_a, p.ood_a).value - metric(p.id_b, p.ood_b).value for p in parts]
        assert test(parts).effect == pytest.approx(np.mean(apart))
        weighted = [parts[0], parts[1]._replace(weight=3)]
        assert test(weighted).effect == pytest.approx(np.average(apart, weights=[1, 3]))


def test_fpr_bootstrap_against_plain_resampling():
    draw = np.random.default_rng(3)
    one = ranking(draw, 80, 100, worse=0.6)
    values = []
    for _ in range(1500):
        i, o = draw.integers(0, 80, 80), draw.integers(0, 100, 100)
        sides = ((one.id_a, one.ood_a), (one.id_b, one.ood_b))
        values.append(np.subtract(*((ood[o] >= metrics.threshold_at_tpr(ids[i])).mean() for ids, ood in sides)))
    result = paired.fpr_at_tpr([one])
    low, high = np.quantile(values, [0.025, 0.975])
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.05)
    assert result.p == pytest.approx(2 * np.mean(np.array(values) >= 0), abs=0.04)
    assert paired.fpr_at_tpr([one]) == result  # seeded


def test_holm():
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.9, 0.8]) == [1, 1]
    assert paired.holm([]) == []


# ------------------------------------------------------------------------------------- properties


def test_swapping_a_and_b_changes_the_sign_only():
    one = ranking(np.random.default_rng(4), worse=0.3)
    other = Ranking(one.id_b, one.id_a, one.ood_b, one.ood_a)
    right, wrong = one.id_a > 1.5, one.id_b > 1.7
    for there, back in (
        (paired.auroc([one]), paired.auroc([other])),
        (paired.fpr_at_tpr([one]), paired.fpr_at_tpr([other])),
        (paired.accuracy([Answers(right, wrong)]), paired.accuracy([Answers(wrong, right)])),
    ):
        assert (back.effect, back.low, back.high, back.p) == pytest.approx(
            (-there.effect, -there.high, -there.low, there.p)
        )


def test_the_same_images_again_are_no_new_evidence():
    """A part that is there twice narrows the interval where its images count anew, and not where units say so."""
    one = ranking(np.random.default_rng(5), worse=0.3)
    units = one._replace(id_units=range(120), ood_units=range(200, 350))
    answers = Answers(one.id_a > 1.5, one.id_b > 1.7, np.arange(120))
    for test, part, blind in (
        (paired.auroc, units, one),
        (paired.fpr_at_tpr, units, one),
        (paired.accuracy, answers, answers._replace(units=None)),
    ):
        width = [result.high - result.low for result in (test([part]), test([part, part]), test([blind, blind]))]
        assert width[1] == pytest.approx(width[0], rel=0.1)
        assert width[2] == pytest.approx(width[0] / np.sqrt(2), rel=0.1)


def test_nothing_wrong_is_not_certain():
    perfect = Ranking(np.arange(50) + 100, np.arange(50) + 200, np.arange(60), np.arange(60))
    for result in (
        paired.auroc([perfect]),
        paired.fpr_at_tpr([perfect]),
        paired.accuracy([Answers([1] * 50, [1] * 50)]),
    ):
        assert result.p == 1
        assert result.low < -0.02 < 0.02 < result.high


# ------------------------------------------------------------------------------------- calibration


@pytest.mark.parametrize("rates", [(0.6, 0.6), (0.85, 0.85)])
def test_accuracy_holds_its_level(rates):
    draw = np.random.default_rng(6)
    results = []
    for _ in range(1000):
        ease = draw.random(200)
        results.append(paired.accuracy([Answers(*(0.7 * ease + 0.3 * draw.random(200) < rate for rate in rates))]))
    assert 0.005 <= np.mean([one.p < 0.05 for one in results]) <= 0.06  # exact: at most 5%, and a discrete test is shy
    assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in results]) <= 0.985


def test_auroc_holds_its_level_and_covers():
    draw = np.random.default_rng(7)
    null = [paired.auroc([ranking(draw)]) for _ in range(1000)]
    assert 0.035 <= np.mean([one.p < 0.05 for one in null]) <= 0.065
    truth = stats.norm.cdf(1.5 / np.sqrt(2 * 1.49)) - stats.norm.cdf((1.5 - 0.4) / np.sqrt(2 * 1.49))
    apart = [paired.auroc([ranking(draw, worse=0.4)]) for _ in range(1000)]
    assert 0.93 <= np.mean([one.low <= truth <= one.high for one in apart]) <= 0.97
    assert np.mean([one.p < 0.05 for one in apart]) > 0.5


def test_seeds_that_share_images_hold_the_level():
    """Three rounds that draw their known classes from the same objects, as the seeds of a suite do."""
    draw = np.random.default_rng(9)
    wrong = {"auroc": 0, "accuracy": 0, "blind": 0}
    for _ in range(400):
        ease, a, b = draw.normal(0, 1, 300), draw.normal(0, 0.7, 300), draw.normal(0, 0.7, 300)
        parts, answers = [], []
        for _seed in range(3):
            order = draw.permutation(300)
            known, rest = order[:120], order[120:]
            look = [
                ease[rows] + mean + own[rows] + draw.normal(0, 0.3, len(rows))
                for rows, mean in ((known, 1.5), (rest, 0))
                for own in (a, b)
            ]
            parts.append(Ranking(*look, known, rest))
            answers.append(Answers(look[0] > 1.5, look[1] > 1.5, known))
        wrong["auroc"] += paired.auroc(parts).p < 0.05
        wrong["accuracy"] += paired.accuracy(answers).p < 0.05
        wrong["blind"] += paired.auroc([part._replace(id_units=None, ood_units=None) for part in parts]).p < 0.05
    assert wrong["auroc"] <= 0.075 * 400
    assert wrong["accuracy"] <= 0.06 * 400
    assert wrong["blind"] > wrong["auroc"]  # what ignoring it would claim


# ------------------------------------------------------------------------------------- bad input


def test_bad_input():
    good = ranking(np.random.default_rng(10))
    for call, message in (
        (lambda: paired.accuracy([]), "nothing to compare"),
        (lambda: paired.accuracy([Answers([1, 0], [1])]), "a has 2 images and b has 1"),
        (lambda: paired.accuracy([Answers([1, 0], [1, 1], [3])]), "1 units were given for 2 images"),
        (lambda: paired.auroc([good._replace(ood_a=[np.nan] * 150)]), "OOD scores of a must be"),
        (lambda: paired.auroc([Ranking([1], [1], [0, 0], [0, 0])]), "1 ID and 2 OOD"),
        (lambda: paired.fpr_at_tpr([good], tpr=95), "between 0 and 1"),
    ):
        with pytest.raises(DataError, match=message):
            call()
