"""Rows of a leaderboard with the runs behind them, and what those runs said of every image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croftbench.errors import unknown
from croftbench.report.rows import marked
from croftbench.report.tables import Board
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec


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


def collect(board: Board) -> list[Entry]:
    """An entry for each row of a leaderboard, in its order, with per-image tables where they are kept.

    Raises:
        DataError: a per-image table that is there is damaged.
    """
    several = {name: board.table[name].nunique() > 1 for name in ("encoder", "shots")}
    entries = []
    for of, row in zip(board.rows, board.table.to_dict("records"), strict=True):
        parts = [marked(of.method, row), of.encoder if several["encoder"] else ""]
        parts.append(f"{of.spec.shots} shots" if several["shots"] else "")
        runs = of.by_seed
        tables = board.source.per_image(runs) if board.source else ()
        entries.append(Entry(", ".join(filter(None, parts)), {str(k): v for k, v in row.items()}, runs, tables))
    return entries


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
