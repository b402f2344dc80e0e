"""What rows are called, and that every name which is printed can be typed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from croftbench import plugins
from croftbench.errors import UsageError
from croftbench.report import board_rows, cells, lookup, plots, subset, tables, typed
from croftbench.report.formats import terminal
from croftbench.runs import planning, results
from croftbench.suites import manifest

OPEN = manifest.suite("emoji-open")


@pytest.fixture
def croft(measure, cache):
    """`croft(seed, lambda2=0, ...)`: a run of CRoFT as emoji-open runs it, but for these hyper-parameters."""
    info = plugins.describe("croft", cache)

    def write(seed=1, recipe=None, suite=OPEN, **changed):
        used, params = planning.hyperparameters(suite, info, suite.protocol.shots, recipe)
        own = {name: changed.pop(name) for name in list(changed) if name in params}
        asked = {"method_version": info.version, "shots": suite.protocol.shots, "views": suite.protocol.views}
        return measure(suite, seed, params=params | own, recipe=used, **asked | changed)

    return write


@pytest.fixture
def several(croft, measure):
    """Rows that differ in every way that a name or a mark can say."""
    for seed in (1, 2, 3):
        croft(seed)
        croft(seed, lambda2=0.0)
    croft(1, worst_case=False, lambda2=0.5)
    croft(1, recipe="authors")
    croft(1, shots=7)
    croft(1, encoder="ViT-B-16/openai", weights_digest="v" * 64)
    croft(1, views=2)
    for version in "ab":
        measure(OPEN, 1, method="Mine", source=version * 12, params={"alpha": 3.0, "note": "a, b"})
    measure(OPEN, 1, method="zero-shot", params={}, views=OPEN.protocol.views)


def board_of(tmp_path, cache, suite=OPEN):
    return tables.leaderboard(tmp_path, suite, cache=cache)


def test_a_row_is_called_by_its_difference_from_the_suite_s_recipe(several, tmp_path, cache):
    found = {row.method for row in board_of(tmp_path, cache).rows}
    plain = {"croft", "croft, lambda2=0", "croft, lambda2=0.5, worst_case=false", "croft, views=2", "zero-shot"}
    assert plain <= found
    assert {"Mine, source=aaaaaa", "Mine, source=bbbbbb"} <= found
    (authors,) = (name for name in found if "recipe" in name)
    assert authors == "croft, recipe=authors", "what a recipe sets is said by its name"


def test_a_row_has_one_name_whichever_other_rows_there_are(croft, tmp_path, cache):
    croft(1, lambda2=0.0)
    assert [row.method for row in board_of(tmp_path, cache).rows] == ["croft, lambda2=0"]


def test_without_the_method_s_recipe_a_name_says_what_differs(measure, tmp_path, cache):
    for alpha in (1.0, 2.5):
        measure(OPEN, 1, method="Mine", source="a" * 12, params={"alpha": alpha, "beta": 2})
    assert {row.method for row in board_of(tmp_path, cache).rows} == {"Mine, alpha=1", "Mine, alpha=2.5"}


def test_every_name_that_a_table_or_picture_prints_means_its_row(several, tmp_path, cache):
    board = board_of(tmp_path, cache)
    every = cells.settings_differ(board)
    printed = [[terminal.name(line, every), line.title] for line in cells.lines(board)]
    for i, row in enumerate(board_rows.collect(board)):
        printed[i].append(row.name)
    labels = typed.labels(board.rows)
    for row, names, label in zip(board.rows, printed, labels, strict=True):
        for name in (names[0], names[-1], label):
            assert typed.choose(board.rows, [name]) == [row], name
        assert row in typed.choose(board.rows, [names[1]])


def test_a_name_is_typed_in_more_ways_than_one(several, tmp_path, cache):
    rows = board_of(tmp_path, cache).rows
    (off,) = typed.choose(rows, ["croft, lambda2=0"])
    for name in ("croft lambda2=0.0", "croft, lambda2=0 ◆", "croft, lambda2=0 †", off.runs[0].spec.run_id[:8]):
        assert typed.choose(rows, [name]) == [off]
    assert len(typed.choose(rows, ["croft*"])) == sum(row.spec.method == "croft" for row in rows)
    assert {row.spec.method for row in typed.choose(rows, ["Mine", "zero-shot"])} == {"Mine", "zero-shot"}
    (half,) = typed.choose(rows, ["croft worst_case=False"])
    assert half.method == "croft, lambda2=0.5, worst_case=false"
    for name, complaint in (("crof", "'croft'"), ("croft, lamda2=0", "'lambda2'"), ("croft lambda2=9", "lambda2 of")):
        with pytest.raises(UsageError, match=re.escape(complaint)):
            typed.choose(rows, [name])


def test_the_latest_of_a_method_s_code(several, tmp_path, cache):
    run = next(run for run in results.read_all(tmp_path) if run.spec.source == "b" * 12)
    results.path_of(tmp_path, run.spec).unlink()
    results.write(tmp_path, replace(run, created="2026-02-02T00:00:00Z"))
    board = board_of(tmp_path, cache)
    shown = subset.only(board, subset.latest(board))
    assert len(shown.rows) == len(board.rows) - 1
    assert "Mine, source=bbbbbb" in {row.method for row in shown.rows}, "with the name that it has in every table"


def test_runs_are_found_by_the_names_of_their_rows_in_any_suite(croft, tmp_path, cache):
    styles = manifest.suite("emoji-kinds")
    for suite, fold in ((OPEN, "all"), (styles, styles.folds[0].name)):
        croft(1, suite=suite, fold=fold)
        croft(1, suite=suite, fold=fold, lambda2=0.0)
    runs = list(results.read_all(tmp_path))
    found = lookup.named(runs, ["croft, lambda2=0"], None, cache)
    assert {(run.spec.suite, run.spec.params["lambda2"]) for run in found} == {(OPEN.name, 0.0), (styles.name, 0.0)}
    with pytest.raises(UsageError, match="lambda2 of croft"):
        lookup.named(runs, ["croft, lambda2=3"], None, cache)


def test_the_front_of_a_picture_is_of_the_rows_shown(several, tmp_path, cache):
    board = board_of(tmp_path, cache)
    worst = [row for row, front in zip(board.rows, board.table["pareto"], strict=True) if not front][:1]
    shown = subset.only(board, worst)
    drawn = plots.draw("pareto", shown, board_rows.collect(shown))
    names = [text.get_text() for text in drawn.figure.legends[0].get_texts()]
    assert ("Pareto front" in names) == bool(shown.table["ranked"].any())
