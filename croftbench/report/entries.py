"""Rows of a leaderboard with the runs behind them, and what those runs said of every image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croftbench.errors import unknown
from croftbench.report.rows import configuration, labels, marked
from croftbench.report.tables import Leaderboard, leaderboard
from croftbench.runs import per_image, results
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite


@dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        name: as shown: method, and whatever tells it from the other rows.
        row: its columns in the leaderboard's table.
        runs: behind it, by seed and fold.
        tables: per-image tables of those runs, in their order; empty where not all are there.
    """

    name: str
    row: Mapping[str, Any]
    runs: tuple[RunResult, ...]
    tables: tuple[tuple[SplitTable, ...], ...]

    @property
    def spec(self) -> RunSpec:
        """Of the first run: the others differ in seed and fold."""
        return self.runs[0].spec

    def scores(self, scorer: str, *shifts: str) -> NDArray[np.float64]:
        """(N,) scores of all images of these shifts, pooled over runs: an image counts once in each run."""
        return self._pool(lambda split: split.scores[scorer], shifts)

    def correct(self, *shifts: str) -> NDArray[np.float64]:
        """(N,) 1 where the class is right; the images of `scores`, in their order."""
        return self._pool(lambda split: split.correct, shifts)

    def _pool(self, of: Callable[[SplitTable], NDArray[Any]], shifts: Sequence[str]) -> NDArray[np.float64]:
        wanted = [of(split) for splits in self.tables for split in splits if split.shift in shifts]
        return np.concatenate([np.asarray(values, dtype=np.float64) for values in wanted] or [np.empty(0)])


def collect(results_dir: Path, suite: Suite) -> tuple[Leaderboard, list[Entry]]:
    """The suite's leaderboard and an entry for each of its rows, in the order of the table.

    Raises:
        DataError: see `tables.leaderboard`; or a per-image table that is there is damaged.
    """
    board = leaderboard(results_dir, suite)
    groups: dict[str, list[RunResult]] = {}
    for run in results.read_all(results_dir, suite.name):
        if run.spec.suite_digest == suite.digest and run.spec.seed in board.seeds:
            groups.setdefault(configuration(run.spec), []).append(run)
    named = labels([group[0].spec for group in groups.values()])
    by_row = {
        (label["method"], label["encoder"], group[0].spec.shots): group
        for group, label in zip(groups.values(), named, strict=True)
    }
    rows = board.table.to_dict("records")
    several = {name: board.table[name].nunique() > 1 for name in ("encoder", "shots")}
    found = []
    for row in rows:
        runs = sorted(
            by_row[row["method"], row["encoder"], row["shots"]], key=lambda run: (run.spec.seed, run.spec.fold)
        )
        parts = [marked(row["method"], row), row["encoder"] if several["encoder"] else ""]
        parts.append(f"{row['shots']} shots" if several["shots"] else "")
        tables = _tables(results_dir, [run.spec for run in runs])
        found.append(
            Entry(", ".join(filter(None, parts)), {str(k): v for k, v in row.items()}, tuple(runs), tuple(tables))
        )
    return board, found


def choose(entries: Sequence[Entry], methods: Iterable[str]) -> list[Entry]:
    """Entries of these methods, by registered name or by name as shown; all where none is named.

    Raises:
        UsageError: a method without a row.
    """
    wanted = list(methods)
    for name in wanted:
        if not any(name in (entry.name, entry.spec.method) for entry in entries):
            raise unknown("method in the results", name, {entry.spec.method for entry in entries})
    return [e for e in entries if not wanted or e.name in wanted or e.spec.method in wanted]


def _tables(results_dir: Path, specs: list[RunSpec]) -> list[tuple[SplitTable, ...]]:
    """Per-image tables may be deleted: without all of them, pictures that need them leave the row out."""
    paths = [per_image.path_of(results_dir, spec) for spec in specs]
    return [tuple(per_image.read(path)) for path in paths] if all(path.is_file() for path in paths) else []
