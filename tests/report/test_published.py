"""Published rows: what is shipped is sound, what is broken is named by file and line, and none is ranked."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from croftbench.errors import DataError, UsageError
from croftbench.report import agreement, cells, columns, committed, own_rows, published
from croftbench.report.formats import data, html, latex, markdown
from croftbench.report.tables import Board, leaderboard
from croftbench.suites import manifest

SHIPPED = Path(__file__).parents[2] / "results"

ROW = {
    "row": "paper/ours", "source": "A paper, table 1", "provenance": "primary", "suite": "tiny", "method": "ours",
    "backbone": "ViT-B-16", "weights": "openai", "prompts": "a photo of a {}.", "pool": "all", "metric": "accuracy",
    "split": "id", "scorer": "", "value": "68.35", "fpr_convention": "", "shots": "16", "seeds": "1 2", "band": "0.15",
    "suite_digest": "", "weights_digest": "", "note": "",
}  # fmt: skip
FPR = {"metric": "fpr95", "split": "near", "scorer": "energy", "value": "40", "fpr_convention": "id-positive"}


def put(folder: Path, *rows: dict[str, str], name: str = "paper", columns: list[str] | None = None) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(ROW), lineterminator="\n")
    writer.writeheader()
    writer.writerows(ROW | row for row in rows)
    path = folder / "reported" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())
    return path


def test_shipped_rows_are_sound():
    rows = published.read_all(SHIPPED)
    assert len({row.name for row in rows}) == len(rows) > 30
    numbers = [number for row in rows for number in row.numbers]
    assert all(len(number.source) > 5 and ".." not in number.source for number in numbers)
    by_name = {row.name: row for row in rows}
    one, two = (by_name[f"{source}/zero-shot"].numbers for source in ("clip_benchmark", "open_clip"))
    for a, b in zip(one, two, strict=True):  # the band is wider than what two runs of the same weights differ by
        assert a.column == b.column
        assert abs(a.value - b.value) < a.band == b.band == 0.15
    conventions = {e.row.split("/")[0]: e.fpr_convention for e in numbers if e.fpr_convention}
    assert conventions["openood_vlm"] == "ood-positive"
    assert conventions["fjutlfy"] == "id-positive"
    for name in ("mcm", "neglabel", "locoop-mcm", "locoop-gl-mcm"):
        values = pd.DataFrame([(e.metric, e.split, e.value) for e in by_name[f"fjutlfy/{name}"].numbers])
        for _, group in values.groupby(0):
            split = group[1] == "semantic-mean"
            assert group.loc[~split, 2].mean() == pytest.approx(group.loc[split, 2].item(), abs=0.011)


def test_writing_and_reading_lose_nothing(tmp_path):
    rows = published.read(put(tmp_path, {"note": 'a "quoted", note\nof two lines'}, FPR, {"row": "other", "band": ""}))
    assert [row.name for row in rows] == ["paper/ours", "other"]
    again = tmp_path / "again.csv"
    again.write_text(own_rows.to_csv(rows))
    assert published.read(again) == rows


def test_the_percentile_rule_of_official_suites_can_be_published(tmp_path):
    row = FPR | {"metric": "fpr95_percentile"}
    assert published.read(put(tmp_path, row))[0].head.metric == "fpr95_percentile"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"provenance": "rumour"}, "provenance is 'rumour'"),
        ({"value": "100.5"}, "value is '100.5'"),
        ({"value": "-1"}, "value is '-1'"),
        ({"value": "nan"}, "value is 'nan'"),
        ({"value": ""}, "value is ''"),
        ({"metric": "f1"}, "metric is 'f1'"),
        ({"source": ""}, "source is ''"),
        ({"row": "two words"}, "row is 'two words'"),
        ({"band": "-1"}, "band is '-1'"),
        ({"seeds": "three"}, "seeds is 'three'"),
        (FPR | {"fpr_convention": ""}, "fpr_convention '' does not fit metric fpr95"),
        (FPR | {"fpr_convention": "ood-positive"}, "fpr_convention 'ood-positive' does not fit metric fpr95"),
        ({}, "row paper/ours has accuracy/id twice"),
        (FPR | {"weights": "laion2b"}, "row paper/ours has another weights than above"),
    ],
)
def test_broken_lines_are_named(tmp_path, change, complaint):
    path = put(tmp_path, {}, change)
    with pytest.raises(DataError) as caught:
        published.read_all(tmp_path)
    assert caught.value.message.startswith(f"{path}:3: ")
    assert complaint in caught.value.message
    assert "\n" not in str(caught.value)


def test_broken_headers_and_short_lines(tmp_path):
    columns = list(ROW)
    for wrong, complaint in (
        ([*columns, "extra"], ":1: column 'extra' is unknown"),
        ([*columns, "row"], ":1: column 'row' is unknown or repeated"),
    ):
        path = put(tmp_path, columns=wrong)
        with pytest.raises(DataError, match=complaint):
            published.read(path)
    path.write_text(",".join(columns[1:]) + "\n")
    with pytest.raises(DataError, match=":1: column 'row' is missing"):
        published.read(path)
    path.write_text(",".join(columns) + "\na,b\n")
    with pytest.raises(DataError, match=":2: 2 cells under 20 columns"):
        published.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot read"):
        published.read(path)


@pytest.fixture
def board(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    add(suite, 1, 0.4, method="coop")
    put(
        tmp_path,
        {"value": "99.99"},
        FPR | {"value": "0.01"},
        {"row": "paper/nowhere", "split": "nowhere"},
        {"row": "paper/elsewhere", "suite": "other"},
        {"row": "paper/old", "suite_digest": "0" * 12},
    )
    bare = leaderboard(tmp_path, suite)
    return replace(bare, reported=agreement.matching(published.read_all(tmp_path), bare))


def test_only_rows_of_this_suite_and_digest_with_a_column_match(board):
    assert [row.name for row in board.reported] == ["paper/ours"]


def test_numbers_of_another_score_show_and_the_small_print_names_it(board, tmp_path):
    auroc = {"metric": "auroc", "split": "far", "value": "90"}
    put(
        tmp_path,
        *({"row": "paper/msp"} | one | {"scorer": "msp"} for one in (FPR, auroc)),
        {"row": "paper/both"} | auroc | {"scorer": "msp"},
        {"row": "paper/both"} | FPR,
        {"row": "paper/unstated"} | auroc,
    )
    board = replace(board, reported=agreement.matching(published.read_all(tmp_path), board))
    shown = {line.method: [cell.text for cell in line.cells if cell.text] for line in cells.lines(board)}
    assert shown["paper/msp"] == ["40.00", "90.00"]
    assert shown["paper/both"] == ["40.00"]  # of the headline alone: a row never mixes scores
    assert shown["paper/unstated"] == ["90.00"]
    small_print = cells.caption(board)[-1]
    assert "paper/msp: A paper, table 1, a photo of a {}., score msp" in small_print
    assert "paper/both: A paper, table 1, a photo of a {}.;" in small_print
    assert "score not stated" in small_print
    with pytest.raises(DataError, match="has msp fpr95/near"):  # shown, but not held against another score's
        agreement.checks(board.reported[0], board, "croft")


def bare_board(suite):
    return Board(suite, suite.protocol.seeds, pd.DataFrame(), columns.columns(suite), "float32")


def test_every_shipped_row_stands_on_the_board_of_its_suite():
    rows = published.read_all(SHIPPED)
    of_suite = {name: [row for row in rows if row.head.suite == name] for name in manifest.names("suites")}
    assert {row.head.suite for row in rows} <= {"", *of_suite}
    for name, its in of_suite.items():
        board = bare_board(manifest.suite(name))
        current = [row for row in its if board.suite.digest.startswith(row.head.suite_digest)]
        assert [row.name for row in agreement.matching(its, board)] == [row.name for row in current]
        for number in (
            number for row in current for number in row.numbers
        ):  # each is a column, but for other open sets
            assert number.column in board.metrics or number.row.startswith("openood_vlm/"), number
        for row in current:
            assert any(cell.text for cell in cells.published_line(board, row).cells), row.name


def test_shipped_harmonic_means_are_of_their_own_row():
    rows = [row for row in published.read_all(SHIPPED) if row.head.suite == "coop-base-to-new"]
    assert {row.head.method for row in rows} >= {"zero-shot", "kgcoop", "proda", "promptsrc", "mma"}
    for row in rows:
        base, new, h = (number.value for number in row.numbers)
        assert columns.columns(manifest.suite(row.head.suite))[0].name == row.numbers[0].column
        assert h == pytest.approx(2 * base * new / (base + new), abs=0.011), row.name


def test_shipped_means_of_the_open_sets_are_those_of_their_row():
    for row in (row for row in published.read_all(SHIPPED) if row.name.startswith("gallop/")):
        for metric in ("fpr95", "auroc"):
            *sets, mean = [number.value for number in row.numbers if number.metric == metric] or [0, 0]
            assert mean == pytest.approx(sum(sets) / len(sets), abs=0.11), row.name  # each rounded to .1


def test_published_rows_stand_below_and_are_never_ranked(board, tmp_path):
    bare = replace(board, reported=())
    shown = cells.lines(board)
    assert [(line.rank, line.method, line.runs) for line in shown] == [
        ("1", "croft", "1/1"),
        ("2", "coop", "1/1"),
        ("–", "paper/ours", "primary"),
    ]
    assert shown[:2] == cells.lines(bare)  # better numbers elsewhere change no mark
    values = dict(zip([column.name for column in board.shown], shown[2].cells, strict=True))
    assert (values["accuracy/id"].text, values["fpr95/near"].text) == ("99.99", "0.01")
    assert {cell.mark for cell in shown[2].cells} == {""}
    assert {name for name, cell in values.items() if cell.text} == {"accuracy/id", "fpr95/near"}
    assert "paper/ours: A paper, table 1" in markdown.to_markdown(board)
    assert '<tr class="published">' in html.to_html(board)
    assert latex.to_latex(board).count(r"\midrule") == 2
    tidy = data.tidy(board)
    assert tidy.loc[tidy["source"] == "paper/ours", "ranked"].tolist() == [False, False]
    assert data.to_wide(board) == data.to_wide(bare)
    assert "A paper" not in (committed.write_leaderboards(board)[1]).read_text()


def test_bands(board):
    (row,) = board.reported
    for stated, passed in ((50.0, True), (50.15, True), (50.16, False), (49.85, True), (49.8, False)):
        number = replace(row.numbers[0], value=stated)
        (check,) = agreement.checks(published.PublishedRow((number,)), board, "croft")
        assert (check.measured, check.passed) == (pytest.approx(50), passed)


def test_numbers_that_cannot_be_held_against_ours(board):
    number = board.reported[0].numbers[0]
    for change, complaint in (
        ({"band": None}, "states no band"),
        ({"split": "elsewhere"}, "does not measure"),
        ({"metric": "auroc", "split": "near", "scorer": "msp"}, "has msp auroc/near"),
    ):
        with pytest.raises(DataError, match=complaint):
            agreement.checks(published.PublishedRow((replace(number, **change),)), board, "croft")


def test_a_row_by_name(tmp_path):
    put(tmp_path, {})
    rows = published.read_all(tmp_path)
    assert published.row_named(rows, "paper/ours") == rows[0]
    with pytest.raises(UsageError, match="Did you mean 'paper/ours'"):
        published.row_named(rows, "paper/our")
    put(tmp_path, {}, name="copy")
    with pytest.raises(UsageError, match="in 2 files"):
        published.row_named(published.read_all(tmp_path), "paper/ours")


def test_recording_our_own_row_keeps_the_others(board, tmp_path):
    one = replace(board, table=board.table.iloc[:1])
    path = own_rows.record(tmp_path, [own_rows.own(one, "croft", "emoji-clip/croftbench", "w" * 64)])
    own_rows.record(tmp_path, [own_rows.own(one, "a", "emoji-clip/croftbench", "w" * 64)])
    before = path.read_bytes()
    rows = published.read(path)
    assert [row.name for row in rows] == ["tiny/a", "tiny/croft"]
    assert all(check.passed for check in agreement.checks(rows[1], one, "croft"))
    assert len(agreement.checks(rows[1], one, "croft")) == len(board.shown)
    own_rows.record(tmp_path, [rows[0]])
    assert path.read_bytes() == before
