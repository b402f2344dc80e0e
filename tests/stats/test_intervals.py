"""How often intervals hold the true value and paired tests reject a true null: docs/metrics.md's tables, simulated."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats

from croftbench.stats import metrics, paired
from croftbench.stats.detection import AUROC, Detection
from croftbench.stats.paired import Ranking

DOC = Path(__file__).parents[2] / "docs" / "metrics.md"
NORMAL = NormalDist()
GRID = {"none": 0.0, "1/2": 0.5, "1": 1.0}
"""Scores are rounded to this: in standard deviations of the ID scores."""


def table(first_column: str) -> list[list[str]]:
    """Cells of the rows of the document's table whose header starts so."""
    lines = DOC.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_column} |")) + 2
    lines = takewhile(lambda line: line.startswith("|"), lines[start:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def rounded(scores: np.ndarray, grid: float) -> np.ndarray:
    return np.round(scores / grid) * grid if grid else scores


def place(auroc: float, spread: float) -> float:
    """Mean of normal OOD scores of this spread that standard normal ID scores beat so often."""
    return -NORMAL.inv_cdf(auroc) * float(np.hypot(1, spread))


def truth(mean: float, spread: float, grid: float, m: int, n: int) -> tuple[float, float, float]:
    """AUROC, AUPR and FPR95 of ID ~ N(0, 1) and OOD ~ N(mean, spread), rounded to a grid."""
    step = grid or 0.002
    scores = np.arange(-round(30 / step), round(12 / step) + 1) * step
    chance = [
        np.diff(stats.norm.cdf(np.append(scores - step / 2, scores[-1] + step / 2), *of))
        for of in ((0, 1), (mean, spread))
    ]
    accept_id, accept_ood = (of[::-1].cumsum()[::-1] for of in chance)
    auroc = chance[0] @ (1 - accept_ood + chance[1] / 2)
    precision = m * accept_id / np.maximum(m * accept_id + n * accept_ood, 1e-300)
    if not grid:
        return float(auroc), float(chance[0] @ precision), float(stats.norm.sf(stats.norm.ppf(0.05), mean, spread))
    return float(auroc), float(chance[0] @ precision), float(accept_ood[np.flatnonzero(accept_id >= 0.95).max()])


def coverage(m: int, n: int, auroc: float, spread: float, ties: str, experiments: int, seed: int = 0) -> list[float]:
    """Share of intervals of AUROC, AUPR and FPR95 that hold the true value."""
    draw, mean, grid = np.random.default_rng(seed), place(auroc, spread), GRID[ties]
    true = truth(mean, spread, grid, m, n)
    held = np.zeros(3)
    for run in range(experiments):
        scores = rounded(draw.normal(0, 1, m), grid), rounded(draw.normal(mean, spread, n), grid)
        found = metrics.auroc(*scores), metrics.aupr(*scores), metrics.fpr_at_tpr(*scores, seed=run)
        held += [one.low <= value <= one.high for one, value in zip(found, true, strict=True)]
    return [float(share) for share in held / experiments]


def alike(
    draw: np.random.Generator, m: int, n: int, auroc: float, ties: str, correlation: float, lift: float = 0
) -> Ranking:
    """Two methods' scores of the same images, in one distribution; `lift` raises b's OOD scores."""
    looks = []
    for size, mean in ((m, 0.0), (n, place(auroc, 1))):
        common = draw.normal(0, 1, size)
        for _ in range(2):
            own = draw.normal(0, 1, size)
            looks.append(mean + np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
    looks[3] += lift
    return Ranking(*(rounded(look, GRID[ties]) for look in looks))


def rejected(m: int, n: int, auroc: float, ties: str, correlation: float, experiments: int, seed: int = 0) -> float:
    """Share of paired tests that find a difference in FPR95 at 5%, where there is none."""
    draw = np.random.default_rng(seed)
    null = (alike(draw, m, n, auroc, ties, correlation) for _ in range(experiments))
    return float(np.mean([paired.fpr_at_tpr([one], seed=run).p < 0.05 for run, one in enumerate(null)]))


def held(m: int, n: int, auroc: float, ties: str, shift: float, experiments: int, seed: int = 0) -> float:
    """Share of paired intervals of FPR95 that hold the true difference; b's OOD scores are raised by `shift`."""
    draw, mean = np.random.default_rng(seed), place(auroc, 1)
    fpr_a, fpr_b = (truth(mean + lift, 1, GRID[ties], m, n)[2] for lift in (0, shift))
    looks = (alike(draw, m, n, auroc, ties, 0.7, shift) for _ in range(experiments))
    intervals = [paired.fpr_at_tpr([look], seed=run) for run, look in enumerate(looks)]
    return float(np.mean([one.low <= fpr_a - fpr_b <= one.high for one in intervals]))


def cells(rows: list[list[str]]) -> list[object]:
    """Parameters of a test by table row; all but the first three rows are slow."""
    return [
        pytest.param(row, id=" ".join(row), marks=[pytest.mark.slow] if i > 2 else []) for i, row in enumerate(rows)
    ]


@pytest.mark.parametrize("row", cells(table("ID, OOD images")))
def test_coverage_is_what_the_document_says(row):
    """What the text below the table says, up to what this many experiments can tell."""
    sizes, auroc, spread, ties, *claimed = row
    m, n = map(int, sizes.split(", "))
    measured = coverage(m, n, float(auroc), float(spread), ties, 300, seed=1)
    few = min(m, n) < 100 and float(auroc) > 0.99  # FPR95 moves in steps: most samples accept none or one
    limits = (0.93, 0.97), (0.93, 0.97), (0.925, 0.98) if few else (0.93, 0.97)
    for share, said, (least, most) in zip(measured, map(float, claimed), limits, strict=True):
        assert least <= said <= most
        assert abs(share - said) <= 3.5 * np.sqrt(said * (1 - said) / 300) + 0.005


@pytest.mark.parametrize("row", cells(table("ID, OOD images in pairs")))
def test_paired_fpr_holds_its_level(row, monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 300)
    sizes, auroc, ties, *claimed = row
    m, n = map(int, sizes.split(", "))
    for said, correlation in zip(map(float, claimed), (0.5, 0.9), strict=True):
        assert said <= 0.06
        share = rejected(m, n, float(auroc), ties, correlation, 40, seed=1)
        assert share <= said + 3.5 * np.sqrt(max(said, 0.01) / 40)


@pytest.mark.parametrize("row", cells(table("ID, OOD images, a and b apart")))
def test_paired_fpr_holds_a_true_difference(row, monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 300)
    sizes, auroc, ties, *claimed = row
    m, n = map(int, sizes.split(", "))
    for said, shift in zip(map(float, claimed), (0.25, 0.75), strict=True):
        assert said >= 0.93
        assert abs(held(m, n, float(auroc), ties, shift, 60, seed=1) - said) <= 3.5 * np.sqrt(said * (1 - said) / 60)


@pytest.mark.parametrize("ties", GRID)
def test_paired_fpr_finds_a_difference(ties, monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 300)
    draw = np.random.default_rng(3)
    apart = [paired.fpr_at_tpr([alike(draw, 250, 400, 0.95, ties, 0.9, lift=1.5)], seed=run) for run in range(60)]
    assert np.mean([one.p < 0.05 for one in apart]) > 0.5
    assert all(one.low <= one.effect <= one.high for one in apart)
    assert all((one.p < 0.05) == (one.high < 0) for one in apart if abs(one.p - 0.05) > 0.01)


@pytest.mark.parametrize(("accepted", "least", "most"), [(4, 0.05, 0.97), (40, 0.03, 0.97), (396, 0.03, 0.95)])
def test_where_the_threshold_is_known_fpr95_has_jeffreys_limits(accepted, least, most):
    """Of 400 OOD images; 3% at either end, but 5% at the only end that a truth near 0 or 1 can lie beyond."""
    id_scores = np.random.default_rng(0).normal(0, 1, 200_000)
    found = metrics.fpr_at_tpr(id_scores, np.where(np.arange(400) < accepted, 9.0, -9.0))
    limits = stats.beta(accepted + 0.5, 400 - accepted + 0.5).ppf([least, most])
    assert (found.low, found.high) == pytest.approx(limits, rel=0.08)


def test_where_id_scores_tie_the_interval_of_fpr95_reaches_both_shares():
    """9 of 200 ID images, fewer than 5%, score less than the others; the true threshold may be either score."""
    id_scores, ood_scores = np.repeat([0.0, 1.0], [9, 191]), np.repeat([-1.0, 0.0, 1.0], [40, 120, 40])
    found = metrics.fpr_at_tpr(id_scores, ood_scores)
    assert found.value == 0.2
    assert found.low < 0.2 < 0.8 < found.high
    apart = np.arange(200) * 1e-9
    assert metrics.fpr_at_tpr(id_scores + apart, ood_scores).high < found.high


def test_swapped_populations_mirror_the_interval():
    """AUROC of OOD against ID is 1 minus AUROC, and so are its ends, near 0 and 1 as in between."""
    draw = np.random.default_rng(0)
    for shift in (0.0, 1.0, 3.0, 4.5):
        id_scores, ood_scores = draw.normal(shift, 1, 60), draw.normal(0, 1, 50)
        one, other = metrics.auroc(id_scores, ood_scores), metrics.auroc(ood_scores, id_scores)
        assert (one.value, one.low, one.high) == pytest.approx((1 - other.value, 1 - other.high, 1 - other.low))


def test_near_perfect_rankings_have_a_one_sided_upper_limit():
    """No sample excludes an AUROC of .999 from below, so the upper limit is the 95% one of the logit interval."""
    draw = np.random.default_rng(1)
    scores = draw.normal(4.4, 1, 60), draw.normal(0, 1, 50)
    found, seen = metrics.auroc(*scores), Detection(*scores).counts
    assert 0.99 < found.value < 1
    width = NORMAL.inv_cdf(0.95) * np.sqrt(AUROC.variance(seen)) / (found.value * (1 - found.value))
    assert found.high == pytest.approx(1 / (1 + (1 / found.value - 1) * np.exp(-width)))


def test_near_perfect_rankings_keep_a_useful_lower_limit():
    """A logit interval alone falls apart there; at no mistake AUROC's is Wilson's for the smaller population."""
    id_scores = np.arange(60.0)
    for wrong in (3, 2, 1, 0):
        ood_scores = np.arange(50) - 50.0 + wrong
        assert metrics.auroc(id_scores, ood_scores).low > 0.9
        assert metrics.aupr(id_scores, ood_scores).low > 0.75
    wilson = stats.binomtest(50, 50).proportion_ci(0.95, method="wilson").low
    assert metrics.auroc(id_scores, ood_scores).low == pytest.approx(wilson)
