"""Tables for GitHub: percent, "mean ± std" over seeds, marks as the caption says."""

from __future__ import annotations

from tabulate import tabulate

from croftbench.report import score_cells
from croftbench.report.cells import TIE, Cell, caption, header, lines, title
from croftbench.report.score_table import ScoreBoard
from croftbench.report.tables import Board


def to_markdown(board: Board) -> str:
    """The table for GitHub: percent, "mean ± std" over seeds, marks as the caption says."""
    headers = ["#", "Method", "Encoder", "Shots", *(header(board, name) for name in board.metrics), "Runs"]
    rows = [
        [
            *map(escape, (line.rank, line.title, line.encoder, line.shots)),
            *map(_cell, line.cells),
            line.runs,
        ]
        for line in lines(board)
    ]
    align = ("right", "left", "left", "right", *("right" for _ in board.metrics), "right")
    body = tabulate(rows, [escape(name) for name in headers], "pipe", colalign=align, disable_numparse=True)
    return "\n\n".join([f"# {escape(title(board))}", *map(escape, caption(board)), body]) + "\n"


def scores_to_markdown(board: ScoreBoard) -> str:
    """The table for GitHub; marks and footnotes as the small print says."""
    lines, reasons = score_cells.lines(board)
    heads = ["Method", "Score", *(score_cells.head(board, name) for name in score_cells.shown(board)), "Runs"]
    rows = [[escape(line.method), escape(line.scorer), *map(_cell, line.cells), line.runs] for line in lines]
    align = ("left", "left", *("right" for _ in score_cells.shown(board)), "right")
    body = tabulate(rows, [escape(head) for head in heads], "pipe", colalign=align, disable_numparse=True)
    title = f"# {escape(score_cells.title(board))}"
    notes = "\n\n".join(escape(f"[{number}] {reason}") for reason, number in reasons.items())
    return "\n\n".join(part for part in [title, *map(escape, score_cells.caption(board)), body, notes] if part) + "\n"


def _cell(cell: Cell) -> str:
    """A number with its marks."""
    opening, closing = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), "": ("", "")}[cell.mark]
    return f"{opening}{cell.text}{closing}{f' {TIE}' if cell.tie else ''}"


def escape(text: str) -> str:
    """Plain text on one line of Markdown: no cell break, no markup, no GitHub mathematics."""
    for character in "\\|*_<`[~$":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
