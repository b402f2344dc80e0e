"""A leaderboard as an HTML fragment, all text escaped; intervals and ranges over seeds appear on hover."""

from __future__ import annotations

from croftbench.report.cells import TIE, caption, header, lines, title
from croftbench.report.tables import Board
from croftbench.report.templates import environment

TAGS = {"best": "strong", "second": "u", "": ""}


def to_html(board: Board) -> str:
    """The table with its caption and its small print, for a page that brings its own style."""
    heads = ["#", "Method", "Encoder", "Shots", *(header(board, name) for name in board.metrics), "Runs"]
    return environment().get_template("leaderboard.html").render(
        suite=board.suite.name, title=title(board), heads=heads, lines=lines(board), caption=caption(board), tags=TAGS,
        tie=TIE,
    )  # fmt: skip
