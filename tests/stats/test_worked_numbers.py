"""The worked numbers of docs/metrics.md, recomputed from the scores that stand beside them."""

from pathlib import Path

import pytest

from croftbench.stats import metrics

DOC = Path(__file__).parents[2] / "docs/metrics.md"
COLUMNS = (
    metrics.auroc,
    metrics.fpr_at_tpr,
    metrics.fpr_at_tpr_ood_positive,
    metrics.fpr_at_tpr_percentile,
    metrics.fpr_at_nearest_recall,
    metrics.aupr,
    metrics.aupr_out,
)
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOC.read_text(encoding="utf-8").partition("## Worked numbers")[2].partition("## ")[0].splitlines()
    if line.startswith("| ") and line[2].isdigit()
]


def test_the_table_is_found():
    assert len(ROWS) >= 7


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0][:12]} and {row[1]}")
def test_a_worked_row(row):
    known, unknown = ([float(score) for score in cell.split()] for cell in row[:2])
    numbers = [measure(known, unknown) for measure in COLUMNS]
    values = [number if isinstance(number, float) else number.value for number in numbers]
    assert [f"{value:.4f}" for value in values] == row[2:]
