"""Rows of a leaderboard with the runs behind them, and what those runs said of every image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croftbench.report.rows import Row, SuiteRuns, marked
from croftbench.report.tables import Board
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec


@dataclass(frozen=True, eq=False)
class BoardRow:
    """One row.

    Attributes:
        name: as shown: method, and whatever tells it from the other rows.
        values: its columns in the leaderboard's table.
        of: its configuration and runs.
        source: where per-image tables are read from; None for runs that were handed over.
    """

    name: str
    values: Mapping[str, Any]
    of: Row
    source: SuiteRuns | None

    @property
    def label(self) -> str:
        """The name with how many runs there are, where some are missing."""
        done, expected = self.values["runs"], self.values["runs_expected"]
        return self.name if done == expected else f"{self.name} ({done}/{expected} runs)"

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """By seed and fold."""
        return self.of.runs

    @property
    def spec(self) -> RunSpec:
        """Of the first run: the others differ in seed and fold."""
        return self.of.spec

    @cached_property
    def tables(self) -> tuple[tuple[SplitTable, ...], ...]:
        """Per-image tables of the runs, in their order; empty where not all are there.

        Raises:
            DataError: a table that is there is damaged.
        """
        return self.source.per_image(self.of) if self.source else ()

    def scores(self, scorer: str, *shifts: str) -> NDArray[np.float64]:
        """(N,) scores of all images of these shifts, pooled over runs: an image counts once in each run."""
        return pooled((split for splits in self.tables for split in splits), lambda of: of.scores[scorer], shifts)

    def correct(self, *shifts: str) -> NDArray[np.float64]:
        """(N,) 1 where the class is right; the images of `scores`, in their order."""
        return pooled((split for splits in self.tables for split in splits), lambda of: of.correct, shifts)


def collect(board: Board) -> list[BoardRow]:
    """The rows of a leaderboard, in its order."""
    several = {name: board.table[name].nunique() > 1 for name in ("encoder", "shots")}
    rows = []
    for of, values in zip(board.rows, board.records, strict=True):
        parts = [marked(of.method, values), of.encoder if several["encoder"] else ""]
        parts.append(f"{of.spec.shots} shots" if several["shots"] else "")
        rows.append(BoardRow(", ".join(filter(None, parts)), {str(k): v for k, v in values.items()}, of, board.source))
    return rows


def pooled(
    splits: Iterable[SplitTable], of: Callable[[SplitTable], NDArray[Any]], shifts: Sequence[str]
) -> NDArray[np.float64]:
    """(N,) one number an image, of the splits of these shifts."""
    parts = [np.asarray(of(split), dtype=np.float64) for split in splits if split.shift in shifts]
    return np.concatenate(parts or [np.empty(0)])
