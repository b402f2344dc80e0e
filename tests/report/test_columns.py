"""Columns that sum up others, each worked by hand on a small suite; and which tables show them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from croftbench.report import columns
from croftbench.report.formats import data, markdown, scores, terminal
from croftbench.report.score_table import board as score_board
from croftbench.report.tables import leaderboard
from croftbench.runs import results, scoring
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult, Score
from croftbench.runs.scoring import FULL_SPECTRUM
from croftbench.suites import manifest
from croftbench.suites.language import SemanticSpec


@pytest.fixture
def put(add, tmp_path):
    """`put(suite, scores, seed=1, fold="all")`: a run that holds these scores alone."""

    def write(suite, rows, seed=1, fold="all", **changed):
        spec = add(suite, seed, 0.5, fold=fold, **changed)
        path = results.path_of(tmp_path, spec)
        path.unlink()
        results.write(tmp_path, RunResult(spec, tuple(rows), {}, {}, "2026-01-01T00:00:00Z"))

    return write


def one(split, shift, metric, value, reference="", scorer="energy"):
    return Score(
        split,
        shift,
        metric,
        value,
        value - 0.01,
        min(1.0, value + 0.02),
        100,
        50,
        scorer if reference else "",
        reference,
    )


def accuracies(**of):
    shifts = {"ID": "id", "new": "named"}
    return [one(name, shifts.get(name, "covariate"), "accuracy", value) for name, value in of.items()]


def open_sets(metric, values, reference="ID"):
    return [one(name, "semantic", metric, value, reference) for name, value in values.items()]


def with_sets(suite, **levels):
    return replace(suite, semantic=tuple(SemanticSpec(k, "splits", splits=("x",), level=v) for k, v in levels.items()))


def row_of(folder, suite):
    board = leaderboard(folder, suite)
    return board, board.table.iloc[0]


def shown(board):
    return [column.name for column in board.shown]


# ------------------------------------------------------------------------------------- near and far, full spectrum


LEVELS = {"N1": "near", "N2": "near", "F1": "far", "F2": "far", "F3": "far"}


def test_near_and_far_are_means_over_the_sets_of_that_level(tiny, put, tmp_path):
    suite = with_sets(tiny(seeds=(1, 2)), **LEVELS)
    for seed, more in ((1, 0.0), (2, 0.1)):
        rows = accuracies(ID=0.5, vintage=0.4, **{"line art": 0.4})
        rows += open_sets("auroc", {"N1": 0.60 + more, "N2": 0.70, "F1": 0.80, "F2": 0.85, "F3": 0.90 - more})
        rows += open_sets("fpr95", {"N1": 0.9, "N2": 0.8 - more, "F1": 0.5, "F2": 0.4, "F3": 0.3})
        rows += open_sets("fpr95_ood_positive", {"N1": 0.7, "N2": 0.6, "F1": 0.3, "F2": 0.2, "F3": 0.1 + more})
        put(suite, rows, seed)
    board, row = row_of(tmp_path, suite)
    expected = {
        "auroc/near-mean": (0.65 + 0.70) / 2,
        "auroc/far-mean": (0.85 + (0.80 + 0.85 + 0.80) / 3) / 2,
        "auroc/semantic-mean": 0.77,  # of five sets, not of two levels
        "fpr95/near-mean": (0.85 + 0.80) / 2,
        "fpr95/far-mean": 0.4,
        "fpr95/semantic-mean": (0.58 + 0.56) / 2,
        "fpr95_ood_positive/near-mean": 0.65,
        "fpr95_ood_positive/far-mean": (0.2 + 0.7 / 3) / 2,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["auroc/near-mean_std"] == pytest.approx(0.05 / 2**0.5)
    assert (row["auroc/near-mean_low"], row["auroc/near-mean_high"]) == pytest.approx((0.665, 0.695))
    assert {name for name in expected if name in shown(board)} == {n for n in expected if "ood_positive" not in n}
    assert "Near and far mean: over the open sets of that level" in markdown.to_markdown(board)
    assert scores.shown(score_board(board)) == tuple(
        f"{m}/{of}-mean" for m in ("auroc", "fpr95") for of in ("near", "far")
    )


@pytest.mark.parametrize("levels", [{"F1": "far", "F2": "far"}, {"F1": "", "F2": ""}, {"F1": "far"}])
def test_a_level_that_is_all_sets_is_no_column_of_text(tiny, levels):
    of_suite = {column.name: column for column in columns.columns(with_sets(tiny(), **levels))}
    far = of_suite.get("auroc/far-mean")
    assert (far is None) == (not levels["F1"])
    assert not (far and far.text)
    assert of_suite["auroc/semantic-mean"].text == (len(levels) > 1)


def test_full_spectrum_by_level(tiny, put, tmp_path):
    suite = with_sets(tiny(seeds=(1,)), **LEVELS)
    suite = replace(suite, protocol=replace(suite.protocol, full_spectrum=True))
    rows = accuracies(ID=0.5, vintage=0.4, **{"line art": 0.4})
    rows += open_sets("auroc", dict.fromkeys(LEVELS, 0.9))
    rows += open_sets("auroc", {"N1": 0.4, "N2": 0.5, "F1": 0.6, "F2": 0.7, "F3": 0.8}, FULL_SPECTRUM)
    rows += open_sets("fpr95", {"N1": 1.0, "N2": 0.9, "F1": 0.5, "F2": 0.4, "F3": 0.3}, FULL_SPECTRUM)
    put(suite, rows)
    board, row = row_of(tmp_path, suite)
    found = [row[f"auroc/full-spectrum{level}"] for level in ("-near", "-far", "")]
    assert found == pytest.approx([0.45, 0.7, 0.6])
    assert [row[f"fpr95/full-spectrum{level}"] for level in ("-near", "-far", "")] == pytest.approx([0.95, 0.4, 0.62])
    assert row["auroc/semantic-mean"] == pytest.approx(0.9)
    assert "AUROC ↑ full, near" in markdown.to_markdown(board)


def test_the_shipped_suites_have_what_their_protocols_print():
    def text(name):
        return {column.name for column in columns.columns(manifest.suite(name)) if column.text}

    openood = text("imagenet-openood")
    assert {
        f"{m}/{of}" for m in ("auroc", "fpr95") for of in ("near-mean", "far-mean", "full-spectrum-near")
    } <= openood
    assert "accuracy/covariate-worst" not in openood
    for name in ("setup2-pacs", "setup2-vlcs", "domainbed-pacs", "emoji-kinds"):
        assert "accuracy/covariate-worst" in text(name)
    assert {"harmonic-mean/base-new", "accuracy/new, named"} <= text("coop-base-to-new")
    assert not any("covariate" in name for name in text("coop-base-to-new") | text("imagenet-mcm"))
    assert text("imagenet-robust") == {"accuracy/id", "accuracy/covariate-mean"} | {
        f"accuracy/{name}" for name in ("V2", "Sketch", "A", "R", "ObjectNet")
    }
    for name in manifest.names("suites"):  # names of splits are free: they must not be those of a summary
        of_suite = [column.name for column in columns.columns(manifest.suite(name))]
        assert len(of_suite) == len(set(of_suite))


# ------------------------------------------------------------------------------------- worst domain, H


def test_the_worst_domain_is_that_of_each_seed(tiny, put, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    for seed, flat, line_art in ((1, 0.6, 0.4), (2, 0.5, 0.7)):
        put(suite, accuracies(ID=0.9, flat=flat), seed, "flat")
        put(suite, accuracies(ID=0.9, **{"line art": line_art}), seed, "line art")
    board, row = row_of(tmp_path, suite)
    assert row["accuracy/covariate-worst"] == pytest.approx((0.4 + 0.5) / 2)
    assert row["accuracy/covariate-worst_std"] == pytest.approx(0.1 / 2**0.5)
    assert row["accuracy/covariate-mean"] == pytest.approx(0.55)
    assert "Acc ↑ worst domain" in markdown.to_markdown(board)
    assert "worst" not in " ".join(column.name for column in columns.columns(tiny(folds=1)))


def test_h_is_of_base_and_new_each_averaged_over_folds(tiny, put, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    suite = replace(suite, semantic=(replace(suite.semantic[0], named="new"), *suite.semantic[1:]))
    for seed in (1, 2):
        put(suite, accuracies(ID=0.9, new=0.5), seed, "flat")
        put(suite, accuracies(ID=0.7, new=0.7 if seed == 1 else 0.3), seed, "line art")
        put(suite, accuracies(ID=0.9), seed, "flat", method="unnamed")
        put(suite, accuracies(ID=0.9), seed, "line art", method="unnamed")
    board = leaderboard(tmp_path, suite)
    row = board.table.set_index("method").loc["croft"]
    h = [2 * 0.8 * new / (0.8 + new) for new in (0.6, 0.4)]
    assert row["harmonic-mean/base-new"] == pytest.approx(sum(h) / 2)
    assert (row["harmonic-mean/base-new_min"], row["harmonic-mean/base-new_max"]) == pytest.approx((h[1], h[0]))
    assert np.isnan(board.table.set_index("method").loc["unnamed", "harmonic-mean/base-new"])
    assert "H = 2ab / (a + b)" in markdown.to_markdown(board)


# ------------------------------------------------------------------------------------- calibration, ties


def tables(draw, odds):
    def split(name, shift, n, sure):
        labels = draw.integers(0, 3, n) if shift != "semantic" else np.full(n, -1)
        predicted = np.where(draw.random(n) < 0.7, labels, (labels + 1) % 3)
        return SplitTable(name, shift, labels, predicted, {"energy": odds(sure, n), "msp": draw.normal(sure, 1, n)})

    known = [
        split("ID", "id", 80, 2.0),
        split("line art", "covariate", 90, 1.0),
        split("vintage", "covariate", 70, 0.5),
    ]
    return [*known, split("near", "semantic", 60, 0.0), split("far", "semantic", 40, -1.0)]


def test_calibration_and_selection_are_of_the_largest_probability(tiny, put, tmp_path):
    draw = np.random.default_rng(0)
    splits = tables(draw, lambda sure, n: draw.normal(sure, 1, n))
    suite = tiny(seeds=(1,))
    put(suite, scoring.score(splits, "energy"))
    board, row = row_of(tmp_path, suite)

    def by_hand(of):
        sure, right = 1 / (1 + np.exp(-of.scores["msp"])), of.correct
        ece = 0.0
        for k in range(15):
            inside = (sure > k / 15) & (sure <= (k + 1) / 15)
            ece += abs((right[inside] - sure[inside]).sum()) / len(sure)
        return ece, np.mean([1 - right[sure >= at].mean() for at in sure])

    expected = [by_hand(of) for of in splits[:3]]
    assert (row["ece/id"], row["aurc/id"]) == pytest.approx(expected[0])
    means = [(a + b) / 2 for a, b in zip(*expected[1:], strict=True)]
    assert [row["ece/covariate-mean"], row["aurc/covariate-mean"]] == pytest.approx(means)
    assert row["ece/id_low"] < row["ece/id"] < row["ece/id_high"]
    assert "ECE" not in markdown.to_markdown(board)
    assert '"ece"' in data.to_json([board])


def test_scores_that_tie_are_in_the_record_and_under_every_table(tiny, put, tmp_path):
    draw, suite = np.random.default_rng(0), tiny(seeds=(1,))
    for method, rounded in (("sound", lambda x: x), ("saturated", lambda x: np.minimum(x, 1.0))):
        rows = list(scoring.score(tables(draw, lambda sure, n, r=rounded: r(draw.normal(sure, 1, n))), "energy"))
        put(suite, rows, method=method)
        told = list(scoring.warnings(rows))
        assert [line[line.index("%") :].split(":")[0] for line in told] == [
            f"% of the energy scores of ID and {name} tie across the two"
            for name in ("near", "far")
            if method != "sound"
        ]
    board = leaderboard(tmp_path, suite)
    table = board.table.set_index("method")
    assert table.loc["sound", "ties/semantic-most"] == 0
    share = table.loc["saturated", "ties/semantic-most"]
    assert share > 0.4
    for text in (markdown.to_markdown(board), scores.to_markdown(score_board(board))):
        assert f"{100 * share:.0f}% of the images of ID and of one open set" in text
        marked = [line for line in text.splitlines() if line.startswith("|") and "†" in line]
        assert len(marked) == 1
        assert "saturated" in marked[0]
    assert any("saturated" in line and "†" in line for line in terminal.to_text(board).plain.splitlines())
