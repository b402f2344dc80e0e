"""Committed tables: lossless, byte-identical, and readable."""

from __future__ import annotations

import io
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from rich.console import Console

from croftbench.errors import DataError
from croftbench.report import cells, committed
from croftbench.report.cells import lines
from croftbench.report.formats import html, markdown, terminal
from croftbench.report.subset import only
from croftbench.report.tables import leaderboard

FILES = ["tiny.csv", "tiny.md", "tiny-scores.csv", "tiny-scores.md"]


@pytest.fixture
def filled(add, tiny, tmp_path):
    """Two ranked methods and one that lacks a seed."""
    suite = tiny()
    for seed in (1, 2, 3):
        add(suite, seed, 0.1 * seed + 1 / 3)
        add(suite, seed, 0.1 * seed + 1 / 7, method="zero-shot", params={})
    add(suite, 2, 0.95, method="coop")
    return suite, tmp_path


def test_csv_reads_back_without_loss(filled):
    suite, folder = filled
    path, *_ = committed.write_leaderboards(leaderboard(folder, suite))
    read = pd.read_csv(path, engine="pyarrow")
    assert_frame_equal(read, leaderboard(folder, suite).table, check_exact=True)
    assert list(read.columns[:4]) == ["method", "encoder", "shots", "ranked"]
    assert read["accuracy/id"][0] == (0.1 + 1 / 3 + 0.2 + 1 / 3 + 0.1 * 3 + 1 / 3) / 3


def test_rebuilding_gives_the_same_bytes(filled):
    suite, folder = filled
    paths = committed.write_leaderboards(leaderboard(folder, suite))
    assert [path.relative_to(folder).as_posix() for path in paths] == [f"leaderboards/{name}" for name in FILES]
    before = [path.read_bytes() for path in paths]
    shutil.rmtree(folder / "leaderboards")
    assert [path.read_bytes() for path in committed.write_leaderboards(leaderboard(folder, suite))] == before
    assert sorted(path.name for path in (folder / "leaderboards").iterdir()) == sorted(FILES)


def test_stale_tables_are_found(filled, add):
    suite, folder = filled
    assert [path.name for path in committed.stale_leaderboards(leaderboard(folder, suite))] == FILES
    csv, *_ = committed.write_leaderboards(leaderboard(folder, suite))
    assert committed.stale_leaderboards(leaderboard(folder, suite)) == []
    csv.write_text(csv.read_text() + "\n")
    assert committed.stale_leaderboards(leaderboard(folder, suite)) == [csv]
    committed.write_leaderboards(leaderboard(folder, suite))
    add(suite, 1, 0.7, method="coop")
    assert len(committed.stale_leaderboards(leaderboard(folder, suite))) == 4


def test_markdown(filled):
    suite, folder = filled
    text = markdown.to_markdown(leaderboard(folder, suite))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, croft, zero_shot, coop = (
        [cell.strip() for cell in line.strip("|").replace("\\|", "").split("|")] for line in lines
    )
    assert header[:5] == ["#", "Method", "Encoder", "Shots", "Acc ↑ ID (n = 100)"]
    assert "FPR95 ↓ near (n = 150)" in header
    at = header.index("FPR95 ↓ far (n = 60)")
    assert croft[:2] + croft[4:5] == ["1", "croft ◆", "**53.33 ± 10.00**"]
    assert zero_shot[:2] + zero_shot[4:5] == ["2", "zero-shot", "34.29 ± 10.00"]
    assert (croft[at], zero_shot[at]) == ("**46.67 ± 10.00**", "65.71 ± 10.00")
    assert coop[:2] + coop[4:5] + coop[-1:] == ["–", "coop", "95.00", "1/3"]  # best, but not ranked: not bold
    assert text.endswith("</details>\n")


def test_markdown_says_what_was_measured(filled):
    suite, folder = filled
    text = markdown.to_markdown(leaderboard(folder, suite))
    for part in (
        f"Suite tiny version 1, digest {suite.digest[:12]}; encoder emoji-clip/croftbench; 3 shots; seeds "
        "1, 2, 3; float32.",
        "ID (n = 100); covariate shift: line art (n = 100), vintage (n = 100); semantic shift: near (n = 150), far",
        "score energy",
        "share of negatives accepted when at least 95% of ID is accepted (ID positive)",
        "Ordered by mean accuracy under covariate shift",
    ):
        assert part in text


def test_what_was_left_out_is_said(filled, add, tiny):
    suite, folder = filled
    add(tiny(version=2), 1, 0.5)
    assert "1 run on another digest of tiny left out" in markdown.to_markdown(leaderboard(folder, suite))


def test_one_seed_has_no_deviation_and_one_row_no_best(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    text = markdown.to_markdown(leaderboard(tmp_path, suite))
    assert "50.00" in text
    assert "50.00 ±" not in text
    assert "**" not in text


def test_values_that_look_equal_are_marked_alike(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    add(suite, 1, 0.500001, method="coop")
    assert markdown.to_markdown(leaderboard(tmp_path, suite)).count("**50.00**") == 2 * 7


def cells_of(board, name):
    at = [column.name for column in board.shown].index(name)
    return {line.method: line.cells[at] for line in cells.lines(board)}


def test_best_second_and_ties_follow_the_interval(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    for method, base in (("first", 0.500), ("close", 0.495), ("far-off", 0.480)):
        add(suite, 1, base, method=method)
    add(suite, 9, 0.9, method="other-seed")
    board = leaderboard(tmp_path, suite)
    for name in ("accuracy/id", "fpr95/near"):  # for one the greatest is best, for the other the least
        found = {method: (cell.mark, cell.tie) for method, cell in cells_of(board, name).items()}
        assert found == {"first": ("best", False), "close": ("second", True), "far-off": ("", False)}
    text = markdown.to_markdown(board)
    assert "<ins>49.50</ins> ≈ |" in text
    assert "the best lies within this value's own 95% interval over images" in text


def test_of_two_rows_the_other_is_not_underlined(filled):
    suite, folder = filled
    found = cells_of(leaderboard(folder, suite), "accuracy/id")
    assert [found[name].mark for name in ("croft", "zero-shot", "coop")] == ["best", "", ""]


def test_details_hold_interval_and_range(filled):
    suite, folder = filled
    found = cells_of(leaderboard(folder, suite), "accuracy/id")
    assert found["croft"].detail == "95% over images 52.33 to 54.33; seeds 43.33 to 63.33"
    assert found["coop"].detail == "95% over images 94.00 to 96.00"


class Page(HTMLParser):
    """Every tag with its attributes, and the text; fails on a tag that does not close."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.stack.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_a_closed_fragment_with_intervals_on_hover(filled):
    suite, folder = filled
    page = Page(html.to_html(leaderboard(folder, suite)))
    assert page.tags[0] == ("figure", {"class": "croftbench-leaderboard", "data-suite": "tiny"})
    assert [tag for tag, _ in page.tags].count("tr") == 4
    assert {"title": "95% over images 52.33 to 54.33; seeds 43.33 to 63.33"} in [a for _, a in page.tags]
    assert {"croft ◆", "53.33 ± 10.00", "1/3"} <= set(page.text)


def test_html_escapes_names(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    name = "<script>alert(1)</script>\" onmouseover='x' & co"
    add(suite, 1, 0.5, method=name.replace("/", "∕"), encoder=name)
    page = Page(html.to_html(leaderboard(tmp_path, suite)))
    assert name in page.text
    assert {tag for tag, _ in page.tags}.isdisjoint({"script"})
    assert not any("onmouseover" in attributes for _, attributes in page.tags)


def test_names_from_outside_cannot_break_a_table(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    for value in ("a|b", "<b>x</b>"):
        add(suite, 1, 0.5, method="Mine[bold]*", params={"note": value})
    board = leaderboard(tmp_path, suite)
    lines = [line for line in markdown.to_markdown(board).splitlines() if line.startswith("|")]
    assert "note=a\\|b" in "".join(lines)
    assert "\\<b>" in "".join(lines)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "[bold]*" in show(board, 120)


def show(board, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(terminal.to_text(board, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 160, None])
def test_a_terminal_has_one_whole_line_a_row(filled, add, width):
    suite, folder = filled
    add(suite, 1, 0.5, method="a-method-of-a-long-name")
    board = leaderboard(folder, suite)
    text = terminal.to_text(board, width).plain
    names = board.table["method"].tolist()
    found = [line for line in text.partition("Suite ")[0].splitlines() if any(name in line for name in names)]
    assert len(found) == len(names), "a row is one line"
    assert all(any(line.count(name) == 1 for line in found) for name in names), "names are never split"
    for name, value in zip(names, board.table["accuracy/id"], strict=True):
        (line,) = (line for line in found if name in line)
        assert f"{100 * value:.2f}" in line.split(name)[1], "cells are whole"
    if width:
        assert max(map(len, text.splitlines())) <= width
    first = text.splitlines()
    heads = " ".join(first[2:6])
    for word in ("ID", "mean", "near") if width is None or width >= 80 else ("ID",):
        assert word in heads
    assert ("--wide" in text) == (width is not None)


def test_a_terminal_marks_the_best_and_what_lacks_runs(filled):
    suite, folder = filled
    text = show(leaderboard(folder, suite), 160)
    assert "\x1b[1m53.33 ± 10.00" in text
    assert "34.29 ± 10.00" in text
    assert "(1/3 runs)" in text
    assert "Rows that lack seeds or folds (runs) come last and are not ranked." in text


def test_wide_says_everything_whatever_the_width(filled):
    suite, folder = filled
    board = leaderboard(folder, suite)
    text = terminal.to_text(board, 80, wide=True).plain
    for column in board.shown:
        assert column.title.split()[-1] in text
    assert "FPR95 is the share of negatives accepted" in " ".join(text.split())
    assert "--wide" not in text


def test_a_row_left_out_keeps_its_place(filled):
    suite, folder = filled
    board = leaderboard(folder, suite)
    last = [row for row, ranked in zip(board.rows, board.table["ranked"], strict=True) if ranked][-1]
    shown = only(board, [last])
    assert [line.rank for line in lines(shown)] == [str(board.table["ranked"].sum())]
    assert bool(shown.table["pareto"][0]), "the front is of the rows shown"
    before = [path.read_bytes() for path in committed.write_leaderboards(board)]
    assert [path.read_bytes() for path in committed.write_leaderboards(shown)] == before, "files hold all rows"


def test_a_folder_in_the_way_is_one_clear_error(filled):
    suite, folder = filled
    (folder / "leaderboards").write_text("in the way")
    with pytest.raises(DataError, match="cannot write"):
        committed.write_leaderboards(leaderboard(folder, suite))
