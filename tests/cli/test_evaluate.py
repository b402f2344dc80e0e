"""People who have only scores: one file, one command, every number with its interval."""

import io

import numpy as np
import pandas as pd
import pytest

from croftbench import evaluate


@pytest.fixture
def table():
    """Known images, the same in new light, and two sets of unknown ones; words for classes."""
    stream = np.random.default_rng(0)
    rows = []
    for name, count, mean in (("id", 80, 2.0), ("night", 40, 1.5), ("near", 50, 0.5), ("far", 60, -1.0)):
        for i in range(count):
            known = name in ("id", "night")
            truth = ("owl", "wren")[i % 2] if known else ""
            guess = "owl" if stream.random() < 0.3 else truth or "wren"
            rows.append((f"{i}.jpg", name, truth, guess, stream.normal(mean), stream.normal(mean)))
    return pd.DataFrame(rows, columns=["Image", "set", "label", "prediction", "energy", "other"])


def test_a_file_gives_the_numbers_that_its_columns_give(croftbench, table, tmp_path):
    table.to_csv(tmp_path / "scores.csv", index=False)
    code, out, _ = croftbench("evaluate", tmp_path / "scores.csv", "--format", "csv")
    assert code == 0
    numbers = pd.read_csv(io.StringIO(out)).fillna("")
    of = dict(list(table.groupby("set")))
    direct = evaluate(
        of["id"].energy, {"near": of["near"].energy, "far": of["far"].energy},
        predicted=(of["id"].prediction == "owl"), labels=(of["id"].label == "owl"),
    )  # fmt: skip
    for metric, split in (("auroc", "near"), ("fpr95", "far"), ("accuracy", "id")):
        mine = numbers[
            (numbers.metric == metric) & (numbers.split == split) & numbers.scorer.isin(["energy", ""])
        ].iloc[0]
        theirs = direct[(direct.metric == metric) & (direct.split == split)].iloc[0]
        assert (mine.value, mine.low, mine.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-6)
    night = numbers[(numbers.metric == "accuracy") & (numbers.split == "night")].iloc[0]
    assert night.value == pytest.approx((of["night"].label == of["night"].prediction).mean())
    assert set(numbers.scorer) == {"", "energy", "other"}


def test_parquet_with_numbers_and_scores_that_are_distances(croftbench, table, tmp_path):
    table["label"] = table.label.map({"owl": 0, "wren": 1})  # with gaps, so as fractions
    table["prediction"] = table.prediction.map({"owl": 0, "wren": 1})
    table["distance"] = -table.energy
    table.to_parquet(tmp_path / "scores.parquet")
    table.to_csv(tmp_path / "scores.csv", index=False)
    shown = []
    for file, *options in (
        ("scores.parquet", "--score", "energy"), ("scores.csv", "--score", "distance", "--lower"),
    ):  # fmt: skip
        code, out, _ = croftbench("evaluate", tmp_path / file, *options, "--format", "md")
        assert code == 0
        shown.append(out.replace("distance", "energy"))
    assert shown[0] == shown[1]
    assert "AUROC ↑" in shown[0]
    assert "Acc ↑" in shown[0]
    assert "night" in shown[0]


def test_without_a_set_column_rows_without_a_label_are_the_unknown_ones(croftbench, table, tmp_path):
    kept = table[table.set.isin(["id", "far"])].drop(columns=["set", "Image"])
    kept.to_csv(tmp_path / "scores.csv", index=False)
    code, out, _ = croftbench("evaluate", tmp_path / "scores.csv", "--format", "md")
    assert code == 0
    assert "| AUROC ↑ | unknown | energy |" in out
    assert "| 80 | 60 |" in out


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda t: t.assign(set="x"), 2, "has no set 'id' (it has x). Name it with --known."),
        (
            lambda t: t.assign(energy=[*t.energy[:-1], np.inf]),
            1,
            "scores.csv, row 230: 'inf' in column 'energy' is no finite",
        ),
        (lambda t: t.assign(label=["", *t.label[1:]]), 1, "set 'id' has rows with a label and rows without"),
        (lambda t: pd.concat([t, t[:1]]), 1, "row 231: image '0.jpg' of set 'id' is in row 1 already"),
        (lambda t: t.assign(prediction=["", *t.prediction[1:]]), 1, "row 1: an image has no prediction"),
        (lambda t: t[["Image", "set", "label"]], 2, "has nothing to evaluate"),
        (lambda t: t[["Image", "energy"]], 2, "has no column of labels or sets (it has Image, energy)"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_with_the_row(croftbench, table, tmp_path, change, code, says):
    change(table).to_csv(tmp_path / "scores.csv", index=False)
    failed, out, err = croftbench("evaluate", tmp_path / "scores.csv")
    assert (failed, out) == (code, "")
    assert says in err


def test_another_format_or_no_file_is_named(croftbench, tmp_path):
    (tmp_path / "scores.xlsx").write_text("")
    for name in ("scores.xlsx", "gone.csv"):
        code, _, err = croftbench("evaluate", tmp_path / name)
        assert code in (1, 2)
        assert name in err
