"""The report: one self-contained HTML page of every suite's joint table, its pictures and its run cards.

Everything in it comes from the runs; it loads nothing. Names from plug-ins and imported runs are escaped by Jinja2, and
a content security policy lets no script run but the page's own. The same runs give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from croftbench import __version__
from croftbench.errors import CroftbenchError
from croftbench.files import write_atomically
from croftbench.report import cells, entries, plots, published, style
from croftbench.report.cells import Cell, Line
from croftbench.report.entries import Entry
from croftbench.report.tables import MEAN, Board, leaderboard
from croftbench.report.templates import environment
from croftbench.runs.results import RunResult, Score
from croftbench.stats import calibration
from croftbench.suites.language import Suite

RATES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Acceptance rates of the selection table."""

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
class Row:
    """A table row.

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


def write(results_dir: Path, suites: Sequence[Suite], folder: Path) -> Path:
    """Write `index.html` into the folder, replacing an older one.

    Raises:
        DataError: see `tables.leaderboard`; or the folder cannot be written to.
    """
    path = folder / "index.html"
    write_atomically(path, render(results_dir, suites))
    return path


def render(results_dir: Path, suites: Sequence[Suite]) -> str:
    """The page's HTML.

    Raises:
        DataError: see `tables.leaderboard`.
    """
    script = _source("page.js")
    sections = [_section(results_dir, suite, number) for number, suite in enumerate(suites)]
    return (
        environment()
        .get_template("page.html")
        .render(
            sections=sections,
            version=__version__,
            style=_source("page.css"),
            script=script,
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _source(name: str) -> str:
    """A file of ours that goes into the page as it is."""
    from markupsafe import Markup

    loader = environment().loader
    assert loader is not None  # templates has one
    return Markup(loader.get_source(environment(), name)[0])


# ------------------------------------------------------------------------------------- suites


def _section(results_dir: Path, suite: Suite, number: int) -> dict[str, Any]:
    board = leaderboard(results_dir, suite)
    found = entries.collect(board)
    elsewhere = [row for row in published.read_all(results_dir) if not row.head.weights_digest]  # ours stand above
    board = replace(board, reported=published.matching(elsewhere, board))
    lines = cells.lines(board)
    rows = [_row(board, line, i, f"card-{number}-{i}", found[i]) for i, line in enumerate(lines[: len(found)])]
    rows += [
        Row(line, tuple((cell, cell.text) for cell in line.cells), "") for line in lines[len(found) :]
    ]  # published
    return {
        "id": f"suite-{number}",
        "name": suite.name,
        "title": suite.title,
        "caption": cells.caption(board),
        "several_encoders": len({line.encoder for line in lines}) > 1,
        "heads": [_head(board, name) for name in board.metrics],
        "bodies": [
            (label, body)
            for label, body in (
                ("", [row for row in rows if row.line.rank != "–"]),
                ("Not ranked: seeds or folds are missing", [r for r in rows if r.line.rank == "–" and r.card]),
                ("Published elsewhere, never ranked", [row for row in rows if not row.card]),
            )
            if body
        ],
        "figures": [_figure(board, found, kind, f"s{number}") for kind in plots.KINDS],
        "rates": [f"{100 * rate:.0f}%" for rate in RATES],
        "accepted": [(entry.name, _accepted(entry, suite)) for entry in found if entry.tables and suite.semantic],
        "cards": [_card(board, entry, f"card-{number}-{i}") for i, entry in enumerate(found)],
    }


def _head(board: Board, name: str) -> Head:
    measure, split, images = cells.label(board, name)
    group = name.split("/")[0]
    return Head(measure, split, images, group, group == "fpr95", name == MEAN)


def _row(board: Board, line: Line, position: int, card: str, entry: Entry) -> Row:
    values = [board.table[name].iloc[position] for name in board.metrics]
    keys = ["" if pd.isna(value) else repr(float(value)) for value in values]
    return Row(line, tuple(zip(line.cells, keys, strict=True)), card)


def _figure(board: Board, found: Sequence[Entry], kind: str, prefix: str) -> Figure:
    from markupsafe import Markup

    try:
        picture = plots.draw(kind, board, found)
    except CroftbenchError as error:
        return Figure(kind, kind, f"No picture: {error}", "")
    svg = style.write(picture, "svg", caption=False).decode()
    return Figure(kind, picture.title, picture.caption, Markup(_inline(svg, f"{prefix}-{kind}-")))


def _inline(svg: str, prefix: str) -> str:
    """An SVG file as an element of a page: no prologue, no metadata, scalable, identifiers of its own.

    Names are text in it, escaped by matplotlib; only the tags and attributes that matplotlib writes are touched.
    """
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg[svg.index("<svg ") :], flags=re.DOTALL)
    start, rest = svg.split(">", 1)
    start = re.sub(r' (width|height|version)="[^"]*"', "", start) + ' aria-hidden="true" focusable="false"'

    def rename(tag: re.Match[str]) -> str:
        return re.sub(r'( id="|url\(#|href="#)', rf"\1{prefix}", tag[0])

    return f"{start}>{re.sub('<[^>]*>', rename, rest)}"


def _accepted(entry: Entry, suite: Suite) -> list[Cell]:
    """Accuracy of what is accepted, each run with its own threshold: means over runs of value and interval."""
    scorer = suite.protocol.headline
    runs = []
    for tables in entry.tables:
        one = Entry(entry.name, entry.row, entry.runs, (tables,))
        known = ("id", "covariate")
        runs.append(
            calibration.accepted(one.scores(scorer, *known), one.correct(*known), one.scores(scorer, "semantic"), RATES)
        )
    shown = []
    for at in zip(*runs, strict=True):
        value, low, high = (sum(getattr(a.accuracy, of) for a in at) / len(at) for of in ("value", "low", "high"))
        shown.append(
            Cell(cells.percent(value), detail=f"95% over images {cells.percent(low)} to {cells.percent(high)}")
        )
    return shown


# ------------------------------------------------------------------------------------- cards


def _card(board: Board, entry: Entry, identifier: str) -> Card:
    spec = asdict(entry.spec)
    return Card(
        identifier,
        entry.name,
        command(entry),
        {name.replace("_", " "): str(value) for name, value in spec.items() if name not in SECONDARY},
        {str(name): str(value) for name, value in entry.spec.params.items()},
        _environments(entry.runs),
        entry.runs,
        tuple(_numbers(board, entry)),
    )


def command(entry: Entry) -> str:
    """What to type to get the row's runs again; all hyper-parameters are spelt out, so new defaults change nothing.

    A method of the user's own file is named by its class: its path was never recorded.
    """
    spec = entry.spec
    seeds = sorted({run.spec.seed for run in entry.runs})
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


def _numbers(board: Board, entry: Entry) -> list[tuple[str, tuple[str, ...]]]:
    """Every accuracy and headline detection score, run by run, with its interval."""
    found: dict[str, dict[int, Score]] = {}
    for i, run in enumerate(entry.runs):
        roles = {score.split: score.shift for score in run.scores if score.metric == "accuracy"}
        for score in run.scores:
            if score.metric == "accuracy":
                name = f"accuracy/{'id' if score.shift == 'id' else score.split}"
            elif score.scorer == board.suite.protocol.headline and roles.get(score.reference) == "id":
                name = f"{score.metric}/{score.split}"
            else:
                continue
            found.setdefault(name, {})[i] = score
    shown = []
    for name in board.metrics:
        if name in found:
            runs = (found[name].get(i) for i in range(len(entry.runs)))
            shown.append((" ".join(cells.label(board, name)[:2]), tuple(map(_number, runs))))
    return shown


def _number(score: Score | None) -> str:
    if score is None:
        return ""
    return f"{cells.percent(score.value)} ({cells.percent(score.low)} to {cells.percent(score.high)})"
