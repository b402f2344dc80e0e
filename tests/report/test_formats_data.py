"""CSV and JSON for programs: nothing lost, nothing rounded, the same bytes every time."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from croftbench.report.formats import data
from croftbench.report.tables import leaderboard


@pytest.fixture
def board(add, tiny, tmp_path):
    """A ranked row, one that lacks seeds, and one without detection scores."""
    suite = tiny()
    for seed in (1, 2, 3):
        add(suite, seed, 0.1 * seed + 1 / 3)
    add(suite, 2, 0.95, method='odd, "name"', params={"note": "a,b"})
    return leaderboard(tmp_path, suite)


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), engine="pyarrow")


def test_tidy_reads_back_without_loss(board):
    text = data.to_tidy([board])
    assert_frame_equal(read(text), data.tidy(board), check_exact=True, check_dtype=False)
    assert text == data.to_tidy([board])
    assert tuple(read(text).columns) == data.TIDY


def test_tidy_has_one_line_a_row_and_metric(board):
    table = read(data.to_tidy([board]))
    assert len(table) == 2 * len(board.metrics)
    assert table["method"].unique().tolist() == ["croft", 'odd, "name"']
    near = table[(table["metric"] == "fpr95") & (table["split"] == "near")].iloc[0]
    assert near["value"] == board.table["fpr95/near"][0]
    assert (near["low"], near["high"]) == (board.table["fpr95/near_low"][0], board.table["fpr95/near_high"][0])
    assert (near["shift"], near["positives"], near["scorer"], near["n"]) == ("semantic", "id", "energy", 150)
    means = table[(table["split"] == "semantic-mean") & table["ranked"]]
    assert means["metric"].tolist() == ["fpr95", "auroc", "fpr95_ood_positive"]
    assert means["positives"].tolist() == ["id"] * 3
    assert means["n"].isna().all()
    shifted = table[(table["metric"] == "auroc") & (table["split"] == "covariate")]
    assert shifted["positives"].tolist() == ["covariate"] * 2
    assert table[table["metric"].isin(["ece", "aurc"])]["scorer"].unique().tolist() == ["msp"]
    accuracy = table[table["metric"] == "accuracy"]
    assert accuracy["scorer"].isna().all()
    assert accuracy["shift"].tolist()[:4] == ["id", "covariate", "covariate", "covariate"]


def test_tidy_holds_several_suites_and_wide_one(board):
    both = read(data.to_tidy([board, board]))
    assert len(both) == 4 * len(board.metrics)
    assert_frame_equal(read(data.to_wide(board)), board.table, check_exact=True)


def test_json_follows_its_schema(board):
    content = json.loads(data.to_json([board]))
    assert content["schema"] == data.SCHEMA
    (only,) = content["leaderboards"]
    assert only["suite"]["digest"] == board.suite.digest
    assert (only["seeds"], only["scorer"], only["precision"]) == ([1, 2, 3], "energy", "float32")
    croft, odd = only["rows"]
    assert (croft["method"], croft["shots"], croft["ranked"], croft["pareto"]) == ("croft", 3, True, True)
    assert croft["params"] == {"lambda2": 0.03, "epochs": 30}
    assert [value["value"] for value in croft["values"]] == [board.table[name][0] for name in board.metrics]
    assert odd["coverage"]["runs"] == 1
    assert odd["values"][0]["std"] is None
    for value in croft["values"]:
        assert set(value) == {"metric", "split", "shift", "positives", "n", *data.STATISTIC_NAMES}
        assert value["low"] <= value["value"] <= value["high"]
        assert value["min"] <= value["value"] <= value["max"]
