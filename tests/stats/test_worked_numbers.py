"""The worked numbers of docs/metrics.md, computed again from the scores that stand beside them."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve

from croftbench.stats import metrics

LINES = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text().splitlines()


def trapezoid(id_scores: np.ndarray, ood_scores: np.ndarray) -> float:
    """AUPR-in as OpenOOD and pytorch-ood have it."""
    labels = np.repeat([1, 0], [len(id_scores), len(ood_scores)])
    precision, recall, _ = precision_recall_curve(labels, np.concatenate([id_scores, ood_scores]))
    return float(auc(recall, precision))


COLUMNS = {
    "AUROC": lambda *scores: metrics.auroc(*scores).value,
    "FPR95": lambda *scores: metrics.fpr_at_tpr(*scores).value,
    "percentile (A)": lambda *scores: metrics.fpr_at_tpr_percentile(*scores).value,
    "nearest (B)": metrics.fpr_at_nearest_recall,
    "OOD positive": lambda *scores: metrics.fpr_at_tpr_ood_positive(*scores).value,
    "AUPR": lambda *scores: metrics.aupr(*scores).value,
    "AUPR-out": lambda *scores: metrics.aupr_out(*scores).value,
    "trapezoid": trapezoid,
}


def scores_of(text: str) -> np.ndarray:
    """`1×18, 2` is eighteen scores of 1 and one of 2; `1..20` the whole numbers."""
    found: list[float] = []
    for part in text.split(", "):
        score, _, times = part.partition("×")
        first, _, last = score.partition("..")
        found += np.repeat(np.arange(float(first), float(last or first) + 1), int(times or 1)).tolist()
    return np.array(found)


def rows() -> list[dict[str, str]]:
    start = next(i for i, line in enumerate(LINES) if line.startswith("| Case |"))
    lines = takewhile(lambda line: line.startswith("|"), LINES[start:])
    names, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(names, row, strict=True)) for row in body]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["Case"])
def test_worked_numbers(row):
    scores = scores_of(row["ID scores"]), scores_of(row["OOD scores"])
    assert row.keys() - {"Case", "ID scores", "OOD scores"} == COLUMNS.keys()
    assert {name: f"{column(*scores):.3f}" for name, column in COLUMNS.items()} == {name: row[name] for name in COLUMNS}


def test_the_cases_cover_ties_constants_and_tiny_samples():
    sizes = [len(scores_of(row[side])) for row in rows() for side in ("ID scores", "OOD scores")]
    distinct = [len(set(scores_of(row["ID scores"]))) for row in rows()]
    assert min(sizes) == 1
    assert 1 in distinct
    assert len(rows()) >= 8
