"""The table of methods by scores against numbers worked out by hand, and how it reads."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from rich.console import Console

from croftbench.errors import DataError
from croftbench.report import board_rows, cells, committed, compare, score_table
from croftbench.report.formats import html, markdown, scores
from croftbench.report.tables import leaderboard
from croftbench.runs import posthoc, results
from croftbench.runs.posthoc import Posthoc, Scored
from croftbench.runs.results import Score
from croftbench.suites import manifest
from croftbench.suites.language import SemanticSpec

REASON = "its logits are not scaled cosines of image features with class features."


@pytest.fixture
def post(tmp_path):
    """`post(spec, base, label="knn", reason="", own=False)`: a record; AUROC is base and base - .2, FPR95 1 - AUROC."""

    def write(spec, base, label="knn", reason="", own=False, version=1):
        rows = []
        for split, value, n in (("near", base, 150), ("far", base - 0.2, 60)):
            rows.append(
                Score(
                    split,
                    "semantic",
                    "auroc",
                    value,
                    max(0.0, value - 0.03),
                    min(1.0, value + 0.03),
                    100,
                    n,
                    label,
                    "ID",
                )
            )
            rows.append(Score(split, "semantic", "fpr95", 1 - value, 0, 1, 100, n, label, "ID"))
        found = Scored(
            label, "own" if own else label.partition(":")[0], version=version, not_applicable=reason,
            scores=() if reason else tuple(rows),
        )  # fmt: skip
        posthoc.write(tmp_path, posthoc.read(tmp_path, spec).with_more([found], {}))

    return write


@pytest.fixture
def filled(add, post, tiny, tmp_path):
    """croft, complete; zero-shot with a score that lacks a seed; tip-adapter, to which vim is not applicable."""
    suite = tiny()
    for seed in (1, 2, 3):
        croft = add(suite, seed, 0.5 + 0.1 * seed)
        post(croft, 0.7 + 0.1 * seed)
        post(croft, 0.65, "gl_mcm", own=True)
        zero_shot = add(suite, seed, 0.6, method="zero-shot", params={})
        if seed < 3:
            post(zero_shot, 0.9, "vim")
        post(add(suite, seed, 0.3, method="tip-adapter"), 0, "vim", REASON)
    return suite, tmp_path


def row_of(board, method, scorer):
    table = board.table
    return table[(table["method"] == method) & (table["scorer"] == scorer)].iloc[0]


def test_a_row_is_a_method_and_a_score(filled):
    suite, folder = filled
    board = score_table.board(leaderboard(folder, suite))
    pairs = list(zip(board.table["method"], board.table["scorer"], strict=True))
    assert pairs == [
        ("croft", "knn"), ("croft", "energy"), ("croft", "gl_mcm"), ("croft", "msp"), ("zero-shot", "energy"),
        ("zero-shot", "msp"), ("zero-shot", "vim"), ("tip-adapter", "energy"), ("tip-adapter", "msp"),
        ("tip-adapter", "vim"),
    ]  # fmt: skip
    knn = row_of(board, "croft", "knn")
    assert (knn["auroc/near"], knn["auroc/far"]) == pytest.approx((0.9, 0.7))
    assert (knn["auroc/semantic-mean"], knn["fpr95/semantic-mean"]) == pytest.approx((0.8, 0.2))
    assert (knn["auroc/semantic-mean_std"], knn["auroc/near_low"]) == pytest.approx((0.1, 0.87))
    assert (knn["n/id"], knn["n/near"], knn["n/far"], knn["source"], knn["ranked"]) == (100, 150, 60, "post-hoc", True)
    energy = row_of(board, "croft", "energy")
    assert (energy["auroc/near"], energy["source"]) == (pytest.approx(0.7), "suite")
    assert row_of(board, "croft", "gl_mcm")["source"] == "own"
    vim = row_of(board, "zero-shot", "vim")
    assert (vim["ranked"], vim["runs"], vim["runs_expected"]) == (False, 2, 3)
    assert row_of(board, "tip-adapter", "vim")["not_applicable"] == REASON
    assert board.near == "near"


def test_scores_of_another_version_are_left_out(filled, post, add):
    suite, folder = filled
    for run in list(results.read_all(folder)):
        if run.spec.method == "croft":
            post(run.spec, 0.99, "knn", version=99)
    assert "knn" not in set(score_table.board(leaderboard(folder, suite)).table["scorer"])


def test_only_some_configurations(filled):
    suite, folder = filled
    only = [run.spec for run in results.read_all(folder) if run.spec.method == "zero-shot"][:1]
    assert set(score_table.board(leaderboard(folder, suite), only).table["method"]) == {"zero-shot"}
    assert score_table.board(leaderboard(folder, suite, (2,))).table["runs_expected"].tolist() == [1] * 10
    with pytest.raises(DataError, match="no finished run"):
        score_table.board(leaderboard(folder, suite, (9,)))


def test_folds_are_averaged_within_a_seed_and_images_summed(add, post, tiny, tmp_path):
    suite = tiny(folds=2, seeds=(1, 2))
    for seed, fold, base in ((1, "flat", 0.5), (1, "line art", 0.7), (2, "flat", 0.6), (2, "line art", 1.0)):
        post(add(suite, seed, 0.5, fold=fold), base)
    knn = row_of(score_table.board(leaderboard(tmp_path, suite)), "croft", "knn")
    assert (knn["auroc/near"], knn["auroc/near_min"], knn["auroc/near_max"]) == pytest.approx((0.7, 0.6, 0.8))
    assert (knn["n/id"], knn["n/near"], knn["runs_expected"]) == (200, 300, 4)


def test_csv_reads_back_without_loss(filled):
    suite, folder = filled
    board = score_table.board(leaderboard(folder, suite))
    read = pd.read_csv(io.StringIO(scores.to_csv(board)), engine="pyarrow")
    words = board.table.select_dtypes(["object", "string"]).columns
    read[words] = read[words].astype(object).fillna("")
    assert_frame_equal(read.astype(board.table.dtypes), board.table, check_exact=True)


def test_markdown_marks_footnotes_and_says_what_was_measured(filled):
    suite, folder = filled
    text = scores.to_markdown(score_table.board(leaderboard(folder, suite)))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0] == [
        "Method", "Score", "AUROC ↑ near (n = 150)", "FPR95 ↓ near (n = 150)", "AUROC ↑ mean", "FPR95 ↓ mean", "Runs",
    ]  # fmt: skip
    knn = next(row for row in rows if row[:2] == ["croft", "knn"])
    assert knn[2:] == ["**90.00 ± 10.00**", "**10.00 ± 10.00**", "**80.00 ± 10.00**", "**20.00 ± 10.00**", "3/3"]
    energy = next(row for row in rows if row[:2] == ["croft", "energy"])
    assert energy[2] == "<ins>70.00 ± 10.00</ins>"
    vim = next(row for row in rows if row[:2] == ["tip-adapter", "vim"])
    assert vim[2:] == ["n/a [1]"] * 4 + ["0/3"]
    assert f"\\[1] Not applicable: {REASON}" in text
    assert "All in percent, mean ± standard deviation over seeds. Positives: all ID images (n = 100 a seed)" in text
    assert "energy, msp are the suite's own, energy its headline" in text
    assert "transductive" not in text


def test_the_terminal_table_fits_100_columns(filled):
    suite, folder = filled
    console = Console(width=100, file=io.StringIO())
    console.print(scores.to_text(score_table.board(leaderboard(folder, suite)), 100))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "90.00 ± 10.00" in text
    assert "vim (2/3 runs)" in text
    assert text.count("zero-shot") == 1, "a method's name stands at its first row"


def test_a_suite_without_unknown_classes_has_means_only(add, post, tiny, tmp_path):
    suite = replace(tiny(), semantic=(SemanticSpec("far", "splits", splits=("digits",)),))
    post(add(suite, 1, 0.5), 0.7)
    board = score_table.board(leaderboard(tmp_path, suite))
    assert board.near == ""
    assert scores.shown(board) == ("auroc/semantic-mean", "fpr95/semantic-mean")


def make_transductive(folder, spec):
    """Write the run again as that of a transductive method."""
    path = results.path_of(folder, spec)
    run = replace(results.read(path), needs={"transductive": True})
    path.unlink()
    results.write(folder, run)
    assert results.read(path) == run


def test_transductive_methods_are_marked_in_every_table(measure, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    measure(suite, 1, 1.0)
    spec = measure(suite, 1, 0.7, method="dplclip")
    make_transductive(tmp_path, spec)
    board = leaderboard(tmp_path, suite)
    assert [row.name for row in board_rows.collect(board)] == ["croft", "dplclip (transductive)"]
    assert board.table["transductive"].tolist() == [False, True]
    assert cells.TRANSDUCTIVE in cells.caption(board)
    scored = score_table.board(leaderboard(tmp_path, suite))
    for text in (markdown.to_markdown(board), html.to_html(board), scores.to_markdown(scored)):
        assert "dplclip (transductive)" in text
        assert "croft (transductive)" not in text
    assert leaderboard(tmp_path, suite).table["method"].tolist() == ["croft", "dplclip"]


def test_a_comparison_marks_transductive_methods(made, tmp_path):
    made(tmp_path, "croft", 1)
    make_transductive(tmp_path, made(tmp_path, "dplclip", 1, params={}).spec)
    found = compare.compare(tmp_path, [manifest.suite("emoji-open")], "croft", "dplclip")
    assert (found.a, found.b) == ("croft", "dplclip (transductive)")


def test_an_empty_record_changes_nothing(add, tiny, tmp_path):
    suite = tiny()
    spec = add(suite, 1, 0.5)
    before = scores.to_csv(score_table.board(leaderboard(tmp_path, suite)))
    posthoc.write(tmp_path, Posthoc(spec))
    assert scores.to_csv(score_table.board(leaderboard(tmp_path, suite))) == before


def test_runs_without_a_positive_image_have_a_whole_leaderboard_and_no_line_by_score(add, tiny, tmp_path):
    suite = tiny()
    elsewhere = tmp_path / "accurate"
    for seed in (1, 2, 3):
        run = results.read(results.path_of(tmp_path, add(suite, seed, 0.5)))
        results.write(elsewhere, replace(run, scores=tuple(s for s in run.scores if s.metric == "accuracy"), table=""))
    main = leaderboard(elsewhere, suite)
    committed.write_leaderboards(main)
    written = pd.read_csv(elsewhere / f"leaderboards/{suite.name}-scores.csv")
    assert written.empty and {"scorer", "auroc/semantic-mean"} <= set(written.columns)
    assert f"# {suite.name}" in (elsewhere / f"leaderboards/{suite.name}-scores.md").read_text()
    assert len(pd.read_csv(elsewhere / f"leaderboards/{suite.name}.csv")) == 1
    assert scores.of_page(main) is None
