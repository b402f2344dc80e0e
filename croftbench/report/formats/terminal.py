"""Tables for a terminal, as Rich draws them. Names are never read as markup."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from croftbench.report import score_cells
from croftbench.report.cells import TIE, Cell, caption, label, lines, settings_differ, title
from croftbench.report.score_table import ScoreBoard
from croftbench.report.tables import Board

LIMIT = 40
"""Rows of a leaderboard that a terminal is shown: each takes a column, and nobody reads more."""


def to_rich(board: Board) -> Table:
    """The table for a terminal, turned: one line a metric and one column a row of the leaderboard, best first.

    Fits 80 columns for up to three methods. Names are never read as markup.
    """
    every = lines(board)
    shown, others = every[:LIMIT], len(every) - LIMIT
    small_print = caption(board)
    if others > 0:
        small_print.append(f"The first {LIMIT} rows; {others:,} more are in every other --format, and in the files.")
    several = settings_differ(board)
    table = Table(title=Text(title(board)), caption=Text("\n".join(small_print), justify="left"))
    table.add_column("%")
    table.add_column("n", justify="right")
    for line in shown:
        name = f"{line.title}\n{line.setting}" if several else line.title
        table.add_column(Text(name), justify="right", overflow="fold")
    for position, name in enumerate(board.metrics):
        measure, split, images = label(board, name)
        following = board.metrics[position + 1 : position + 2]
        ends = not following or following[0].split("/")[0] != name.split("/")[0]
        cells = (_cell(line.cells[position]) for line in shown)
        table.add_row(Text(f"{measure} {split}"), images, *cells, end_section=ends)
    table.add_row("rank", "", *(line.rank for line in shown))
    table.add_row("runs", "", *(line.runs for line in shown))
    return table


def scores_to_rich(board: ScoreBoard) -> Table:
    """The table for a terminal; what is missing of the runs stands behind the score's name."""
    lines, reasons = score_cells.lines(board)
    notes = [*score_cells.caption(board), *(f"[{number}] {reason}" for reason, number in reasons.items())]
    small_print = Text("\n".join(notes), justify="left")
    table = Table(
        title=Text(score_cells.title(board)),
        caption=small_print,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("method", overflow="fold")
    table.add_column("score", overflow="fold", min_width=20)
    for name in score_cells.shown(board):
        table.add_column(Text(score_cells.short(board, name)), justify="right")
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        scorer = f"{line.scorer} ({line.runs} runs)" if line.lacks else line.scorer
        last = following is not None and following.first
        table.add_row(Text(line.method if line.first else ""), Text(scorer), *map(_cell, line.cells), end_section=last)
    return table


def _cell(cell: Cell) -> Text:
    """A number with its marks."""
    style = {"best": "bold", "second": "underline", "": ""}[cell.mark]
    return Text.assemble((cell.text, style), TIE if cell.tie else "")
