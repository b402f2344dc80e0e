"""Leaderboards for web pages and notebooks."""

from __future__ import annotations

from croftbench.report import templates
from croftbench.report.cells import caption, header, lines, title
from croftbench.report.tables import Board


def to_html(board: Board) -> str:
    """The table as an HTML fragment, all text escaped; intervals and ranges over seeds appear on hover."""
    return templates.render(
        "leaderboard.html",
        suite=board.suite.name,
        title=title(board),
        heads=["#", "Method", "Encoder", "Shots", *(header(board, column) for column in board.shown), "Runs"],
        lines=lines(board),
        caption=caption(board),
    )
