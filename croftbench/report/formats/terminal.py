"""Leaderboards for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from croftbench.report.cells import TIE, Cell, caption, label, lines, settings_differ, title
from croftbench.report.tables import Board

MOST = 40
"""Rows of a leaderboard that any terminal has room for."""


def to_rich(board: Board) -> Table:
    """The table, turned: one line a metric and one column a row of the leaderboard, best first, at most `MOST`.

    Fits 80 columns for up to three methods. Names are never read as markup.
    """
    shown, every = lines(board, MOST), len(board.table) + len(board.reported)
    notes = caption(board)
    if len(shown) < every:
        notes.append(f"{every - len(shown)} of {every} rows are not shown: --format csv has all of them.")
    table = Table(title=Text(title(board)), caption=Text("\n".join(notes), justify="left"))
    table.add_column("%")
    table.add_column("n", justify="right")
    several = settings_differ(board)
    for line in shown:
        name = f"{line.title}\n{line.setting}" if several else line.title
        table.add_column(Text(name), justify="right", overflow="fold")
    for position, column in enumerate(board.shown):
        measure, split, images = label(board, column)
        following = board.shown[position + 1 : position + 2]
        ends = not following or following[0].metric != column.metric
        cells = (cell_text(line.cells[position]) for line in shown)
        table.add_row(Text(f"{measure} {split}"), images, *cells, end_section=ends)
    table.add_row("rank", "", *(line.rank for line in shown))
    table.add_row("runs", "", *(line.runs for line in shown))
    return table


def cell_text(cell: Cell) -> Text:
    """A number with its marks."""
    style = {"best": "bold", "second": "underline", "": ""}[cell.mark]
    return Text.assemble((cell.text, style), TIE if cell.tie else "")
