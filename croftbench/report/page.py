"""The report: one self-contained HTML page of every suite's joint table, its pictures and its run cards.

Everything in it comes from the runs; it loads nothing. Names from plug-ins and imported runs are escaped by Jinja2, and
a content security policy lets no script run but the page's own. The same runs give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from croftbench import __version__
from croftbench.errors import CroftbenchError
from croftbench.files import write_atomically
from croftbench.report import agreement, board_rows, cells, plots, published, style, tables, templates
from croftbench.report.board_rows import BoardRow, pooled
from croftbench.report.cells import Cell, Line
from croftbench.report.columns import LOWER, MEAN, Column, H
from croftbench.report.formats import scores
from croftbench.report.published import PublishedRow
from croftbench.report.tables import Board
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult, Score
from croftbench.stats import calibration
from croftbench.suites.language import Suite

RATES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Acceptance rates of the selection table."""

KNOWN = ("id", "covariate")
"""Shifts whose images are of known classes."""

SECONDARY = ("suite", "fold", "seed", "method", "encoder", "params")
"""Fields of a specification that a card does not list: they are in its title, its runs or its own list."""


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


@dataclass(frozen=True)
class Card:
    """All there is to know of a row: how to get it again, what was asked, the runs and their numbers."""

    id: str
    title: str
    command: str
    spec: dict[str, str]
    params: dict[str, str]
    env: dict[str, str]
    runs: tuple[RunResult, ...]
    scores: tuple[tuple[str, tuple[str, ...]], ...]


def write(results_dir: Path, suites: Sequence[Suite], folder: Path, cache: Path | None = None) -> Path:
    """Write `index.html` into the folder, replacing an older one.

    Raises:
        DataError: see `tables.leaderboard`; or the folder cannot be written to.
    """
    path = folder / "index.html"
    write_atomically(path, render(results_dir, suites, cache))
    return path


def render(results_dir: Path, suites: Sequence[Suite], cache: Path | None = None) -> str:
    """The page's HTML.

    Raises:
        DataError: see `tables.leaderboard`.
    """
    script = templates.source("page.js")
    elsewhere = [row for row in published.read_all(results_dir) if not row.head.weights_digest]  # ours stand above
    boards = (tables.leaderboard(results_dir, suite, cache=cache) for suite in suites)
    return templates.render(
        "page.html",
        sections=[_section(board, elsewhere, number) for number, board in enumerate(boards)],
        version=__version__,
        style=templates.source("page.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


# ------------------------------------------------------------------------------------- suites


def _section(board: Board, elsewhere: list[PublishedRow], number: int) -> dict[str, Any]:
    suite, measured = board.suite, board_rows.collect(board)
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
        "figures": [_figure(board, measured, kind, f"s{number}") for kind in plots.KINDS],
        "rates": [f"{100 * rate:.0f}%" for rate in RATES],
        "accepted": [(row.name, _accepted(row, suite)) for row in measured if row.tables and suite.semantic],
        "cards": [_card(board, row, f"card-{number}-{i}") for i, row in enumerate(measured)],
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


def _figure(board: Board, rows: Sequence[BoardRow], kind: str, prefix: str) -> Figure:
    from markupsafe import Markup

    try:
        picture = plots.draw(kind, board, rows)
    except CroftbenchError as error:
        return Figure(kind, kind, f"No picture: {error}", "")
    return Figure(kind, picture.title, picture.caption, Markup(style.inline(picture, f"{prefix}-{kind}-")))


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


# ------------------------------------------------------------------------------------- cards


def _card(board: Board, row: BoardRow, identifier: str) -> Card:
    spec = asdict(row.spec)
    return Card(
        identifier,
        row.name,
        command(row),
        {name.replace("_", " "): str(value) for name, value in spec.items() if name not in SECONDARY},
        {str(name): str(value) for name, value in row.spec.params.items()},
        _environments(row.runs),
        row.runs,
        tuple(_numbers(board, row)),
    )


def command(row: BoardRow) -> str:
    """What to type to get the row's runs again; all hyper-parameters are spelt out, so new defaults change nothing.

    A method of the user's own file is named by its class: its path was never recorded.
    """
    spec = row.spec
    seeds = sorted({run.spec.seed for run in row.runs})
    method = f"path/to/file.py:{spec.method}" if spec.source else spec.method
    words = ["croftbench", "run", "--suite", spec.suite, "--method", method, "--encoder", spec.encoder]
    words += ["--seeds", ",".join(map(str, seeds)), "--shots", str(spec.shots), "--views", str(spec.views)]
    for name, value in spec.params.items():
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    return shlex.join(words)


def _environments(runs: Sequence[RunResult]) -> dict[str, str]:
    """Each fact once; several values where the runs differ."""
    names = dict.fromkeys(str(name) for run in runs for name in run.env)
    return {name: " / ".join(dict.fromkeys(str(run.env.get(name, "–")) for run in runs)) for name in names}


def _numbers(board: Board, row: BoardRow) -> list[tuple[str, tuple[str, ...]]]:
    """Every accuracy and headline detection score, run by run, with its interval."""
    scores: dict[str, dict[int, Score]] = {}
    for i, run in enumerate(row.runs):
        roles = {score.split: score.shift for score in run.scores if score.metric == "accuracy"}
        for score in run.scores:
            if score.metric == "accuracy":
                name = f"accuracy/{'id' if score.shift == 'id' else score.split}"
            elif score.scorer == board.suite.protocol.headline and roles.get(score.reference) == "id":
                name = f"{score.metric}/{score.split}"
            else:
                continue
            scores.setdefault(name, {})[i] = score
    shown = []
    for column in board.columns:
        if column.name in scores:
            by_run = (scores[column.name].get(i) for i in range(len(row.runs)))
            shown.append((f"{column.measure} {column.title}", tuple(map(_number, by_run))))
    return shown


def _number(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{cells.percent(score.value)} ({cells.percent(score.low)} to {cells.percent(score.high)})"
