"""A row's card on the page: how to get it again, what was asked, the runs and their numbers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from croftbench.report import cells
from croftbench.report.board_rows import BoardRow
from croftbench.report.tables import Board
from croftbench.runs.results import RunResult, Score

SECONDARY = ("suite", "fold", "seed", "method", "encoder", "params")
"""Fields of a specification that a card does not list: they are in its title, its runs or its own list."""


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


def card(board: Board, row: BoardRow, identifier: str) -> Card:
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
