"""A suite's section of the page: its joint table, what is accepted, scores, pictures, hard images and cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from croftbench.data.roots import Roots
from croftbench.errors import CroftbenchError
from croftbench.report import agreement, board_rows, cards, cells, drawn, gallery, plots, style
from croftbench.report.board_rows import BoardRow, pooled
from croftbench.report.cells import Cell, Line
from croftbench.report.columns import LOWER, MEAN, Column, H
from croftbench.report.formats import scores
from croftbench.report.published import PublishedRow
from croftbench.report.tables import Board
from croftbench.runs.per_image import SplitTable
from croftbench.stats import calibration
from croftbench.suites.language import Suite

RATES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Acceptance rates of the selection table."""

KNOWN = ("id", "covariate")
"""Shifts whose images are of known classes."""


@dataclass(frozen=True)
class Head:
    """A metric column's heading."""

    measure: str
    split: str
    images: str
    group: str
    lower: bool
    sorted: bool


@dataclass(frozen=True)
class TableRow:
    """A row of the page's table.

    Attributes:
        line: what is shown.
        cells: what is shown of each metric, and the full value to sort by ("" for none).
        card: the card it opens, "" for a published row.
    """

    line: Line
    cells: tuple[tuple[Cell, str], ...]
    card: str


@dataclass(frozen=True)
class Figure:
    """A picture as inline SVG, or why there is none."""

    kind: str
    title: str
    caption: str
    svg: str


def section(
    board: Board, elsewhere: list[PublishedRow], number: int, roots: Roots | None = None, cache: Path | None = None
) -> dict[str, Any]:
    """What the section's template shows of a suite.

    Pictures, and what is accepted, are kept in the cache, where there is one.
    """
    suite, measured = board.suite, board_rows.collect(board)
    kept = drawn.folder(cache, board, measured)
    board = replace(board, reported=agreement.matching(elsewhere, board))
    lines = cells.lines(board)
    rows = [_row(board, lines[i], row, f"card-{number}-{i}") for i, row in enumerate(measured)]
    place = [board.shown.index(column) for column in board.as_read]
    rows += [
        TableRow(line, tuple((line.cells[i], line.cells[i].text) for i in place), "")
        for line in lines
        if line.published
    ]
    return {
        "id": f"suite-{number}",
        "name": suite.name,
        "title": suite.title,
        "caption": cells.caption(board),
        "several_shots": len({line.shots for line in lines}) > 1,
        "several_encoders": len({line.encoder for line in lines}) > 1,
        "heads": [_head(board, column) for column in board.as_read],
        "by_score": scores.of_page(board),
        "bodies": [
            (label, body)
            for label, body in (
                ("", [row for row in rows if row.line.rank != "–"]),
                (
                    "Not ranked: seeds, folds or images are missing, or the images are others",
                    [r for r in rows if r.line.rank == "–" and r.card],
                ),
                ("Published elsewhere, never ranked", [row for row in rows if not row.card]),
            )
            if body
        ],
        "figures": [_figure(board, measured, kind, f"s{number}", kept) for kind in plots.KINDS],
        "rates": [f"{100 * rate:.0f}%" for rate in RATES],
        "accepted": _all_accepted(measured, suite, kept),
        "gallery": gallery.of(suite, measured, roots),
        "cards": [cards.card(board, row, f"card-{number}-{i}") for i, row in enumerate(measured)],
    }


def _head(board: Board, column: Column) -> Head:
    measure, split, images = cells.label(board, column)
    group = "accuracy" if column.name == H else column.metric  # what the page's choice of a metric shows
    return Head(measure, split, images, group, column.metric in LOWER, column.name == MEAN)


def _row(board: Board, line: Line, row: BoardRow, card: str) -> TableRow:
    values = [row.values[column.name] for column in board.as_read]
    keys = ["" if pd.isna(value) else repr(float(value)) for value in values]
    own = [line.cells[board.shown.index(column)] for column in board.as_read]
    return TableRow(line, tuple(zip(own, keys, strict=True)), card)


def _figure(board: Board, rows: Sequence[BoardRow], kind: str, prefix: str, kept: Path | None) -> Figure:
    from markupsafe import Markup

    if (there := drawn.read(kept, f"{prefix}-{kind}")) is not None:
        return Figure(kind, there["title"], there["caption"], Markup(there["svg"]))
    title, caption, svg = _drawn(board, rows, kind, f"{prefix}-{kind}-")
    drawn.write(kept, f"{prefix}-{kind}", {"title": title, "caption": caption, "svg": svg})
    return Figure(kind, title, caption, Markup(svg))


def _drawn(board: Board, rows: Sequence[BoardRow], kind: str, prefix: str) -> tuple[str, str, str]:
    """Title, caption and SVG of a picture; where there is none, the caption says why."""
    try:
        picture = plots.draw(kind, board, rows)
    except CroftbenchError as error:
        return kind, f"No picture: {error}", ""
    return picture.title, picture.caption, style.inline(picture, prefix)


def _all_accepted(rows: Sequence[BoardRow], suite: Suite, kept: Path | None) -> list[tuple[str, list[Cell]]]:
    """Each row's name and what is accepted of it."""
    if (there := drawn.read(kept, "accepted")) is not None:
        return [(name, [Cell(text, detail=detail) for text, detail in of]) for name, of in there["rows"]]
    made = [(row.name, _accepted(row, suite)) for row in rows if row.tables and suite.semantic]
    drawn.write(kept, "accepted", {"rows": [(name, [(one.text, one.detail) for one in of]) for name, of in made]})
    return made


def _accepted(row: BoardRow, suite: Suite) -> list[Cell]:
    """Accuracy of what is accepted, each run with its own threshold: means over runs of value and interval."""

    def score(split: SplitTable) -> Any:
        return split.scores[suite.protocol.headline]

    runs = []
    for splits in row.tables:
        inside, outside = (pooled(splits, score, shifts) for shifts in (KNOWN, ("semantic",)))
        right = pooled(splits, lambda split: split.correct, KNOWN)
        runs.append(calibration.accepted(inside, right, outside, RATES))
    shown = []
    for at in zip(*runs, strict=True):
        value, low, high = (sum(getattr(a.accuracy, of) for a in at) / len(at) for of in ("value", "low", "high"))
        shown.append(
            Cell(cells.percent(value), detail=f"95% over images {cells.percent(low)} to {cells.percent(high)}")
        )
    return shown
