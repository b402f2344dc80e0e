"""A run's scores, as leaderboards take them: those that a column is made of, as numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from croftbench.report import columns
from croftbench.report.columns import Column, Kind
from croftbench.report.rows import Row
from croftbench.runs.results import RunResult
from croftbench.suites.language import Suite

Listed = tuple[str, str, str, str, str]
"""Metric, split, shift, reference and scorer of a score."""


def shown(rows: Sequence[Row], suite: Suite, of_suite: Sequence[Column]) -> tuple[pd.DataFrame, list[Kind]]:
    """The scores that a leaderboard has columns for, as numbers alone; `kind` and `fold` are positions."""
    headline, folds = suite.protocol.headline, {fold.name: i for i, fold in enumerate(suite.folds)}
    metrics = {column.metric for column in of_suite}
    names = {name for column in of_suite for name in (column.parts or (column.name,))}
    kinds: dict[Kind, int] = {}

    @cache
    def used(of: tuple[Listed, ...]) -> list[tuple[int, int]]:
        """Which of a run's scores a column is made of, and of which kind each is: the same for most runs."""
        shifts = {split: shift for metric, split, shift, _, _ in of if metric == "accuracy"}
        chosen = []
        for at, (metric, split, shift, reference, scorer) in enumerate(of):
            kind = Kind(metric, split, shift, reference, shifts.get(reference, ""))
            detected = not reference or (scorer == headline and metric in metrics)
            if detected and columns.source(kind, own(suite)) in names:
                chosen.append((at, kinds.setdefault(kind, len(kinds))))
        return chosen

    numbers: list[float] = []  # one after the other: tuples would take longer to make than all else here
    for i, row in enumerate(rows):
        for run in row.summed:
            seed, fold, scores = run.spec.seed, folds.setdefault(run.spec.fold, len(folds)), run.scores
            for at, kind in used(listed(run)):
                s = scores[at]
                numbers += (i, seed, fold, kind, s.value, s.low, s.high, s.n_id, s.n_ood)
    heads = ["row", "seed", "fold", "kind", "value", "low", "high", "n_id", "n_ood"]
    table = pd.DataFrame(np.array(numbers, dtype=np.float64).reshape(-1, len(heads)), columns=heads)
    return table.astype(dict.fromkeys(heads[:4], np.int64)), list(kinds)


def listed(run: RunResult) -> tuple[Listed, ...]:
    """What a run's scores are of, in their order. Most runs of a suite have the same, so what follows from it is worked
    out once for them all.
    """
    return tuple([(s.metric, s.split, s.shift, s.reference, s.scorer) for s in run.scores])


def own(suite: Suite) -> str:
    """The shift of the suite's own positives."""
    return "id" if suite.reference is None else "reference"
