"""Leaderboards for GitHub."""

from __future__ import annotations

from tabulate import tabulate

from croftbench import plain
from croftbench.report.cells import TIE, Cell, caption, header, lines, title
from croftbench.report.tables import Board


def to_markdown(board: Board) -> str:
    """The table in percent, "mean ± std" over seeds, marks as the caption says; below it, the ids of the runs."""
    headers = ["#", "Method", "Encoder", "Shots", *(header(board, column) for column in board.shown), "Runs"]
    every = lines(board, details=False)
    rows = [
        [
            *map(escape, (line.rank, line.title, line.encoder, line.shots)),
            *map(cell_text, line.cells),
            line.runs,
        ]
        for line in every
    ]
    align = ("right", "left", "left", "right", *("right" for _ in board.shown), "right")
    body = tabulate(rows, [escape(name) for name in headers], "pipe", colalign=align, disable_numparse=True)
    ids = "\n".join(f"* {escape(line.method)}: {line.run_ids}" for line in every if line.run_ids)
    runs = f"<details><summary>Runs, for <code>croftbench show</code></summary>\n\n{ids}\n\n</details>"
    return "\n\n".join([f"# {escape(title(board))}", *map(escape, caption(board)), body, runs]) + "\n"


def cell_text(cell: Cell) -> str:
    """A number with its marks."""
    opening, closing = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), "": ("", "")}[cell.mark]
    return f"{opening}{cell.text}{closing}{f' {TIE}' if cell.tie else ''}"


def escape(text: str) -> str:
    """Plain text on one line of Markdown: no cell break, no markup, no GitHub mathematics."""
    text = " ".join(plain.shown(text).split())
    for character in "\\|*_<`[~$":
        text = text.replace(character, f"\\{character}")
    return text
