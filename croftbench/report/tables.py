"""Finished runs as a leaderboard, one row a configuration. Fractions, unrounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from croftbench.errors import DataError
from croftbench.report import board_scores, columns
from croftbench.report.columns import DETECTION, ID, MEAN, Column, Kind
from croftbench.report.populations import NONE
from croftbench.report.published import PublishedRow
from croftbench.report.rows import Row, SuiteRuns, check_comparable, grouped, read
from croftbench.runs.results import RunResult
from croftbench.suites.language import Suite

STATISTICS = ("", "_std", "_min", "_max", "_low", "_high")
"""Suffixes of a metric's columns: mean, standard deviation (ddof 1), least and greatest over seeds, folds averaged
within each; and the 95% interval over images. The last is the average of the runs' own intervals (Wilson, DeLong,
bootstrap), as the value is the average of their values: right where seeds share their test images, too wide where
they do not, never too narrow, since the standard error of a mean is at most the mean of the standard errors."""
ENDS = ("value", "low", "high")
"""Of a number and its interval. Columns are made of all three alike: each grows with its parts."""


@dataclass(frozen=True)
class Board:
    """A suite's table and what was left out of it.

    Attributes:
        suite: as it is now; every row was measured on this digest.
        seeds: the seeds that a row needs to be ranked.
        table: ranked rows by falling mean covariate accuracy, then unranked ones by name. Columns: method, encoder,
            shots, ranked, pareto, imported, transductive, recipe ("suite" for the suite's own), caveat (see
            `rows.Row`), runs and runs_expected (seed-fold pairs), seeds, seeds_expected, folds, folds_expected; each
            name of `metrics` with each suffix of `STATISTICS`; `n/<split>`, images a seed, summed over folds; params,
            params_digest; run_ids, what `croftbench show` takes, with spaces between.
        columns: the metric columns, in order.
        precision: of all rows.
        stale: runs on other digests of this suite, left out.
        extra: runs of other seeds, left out.
        reported: published rows to show below, never ranked.
        rows: with the runs behind each row of the table, in its order.
        source: everything that was read; None for a board of runs that were handed over.
        places: of the rows in the whole table, from 0, where `only` has left rows out; else empty.
    """

    suite: Suite
    seeds: tuple[int, ...]
    table: pd.DataFrame
    columns: tuple[Column, ...]
    precision: str
    stale: int = 0
    extra: int = 0
    reported: tuple[PublishedRow, ...] = ()
    rows: tuple[Row, ...] = ()
    source: SuiteRuns | None = None
    places: tuple[int, ...] = ()

    @cached_property
    def records(self) -> list[dict[Any, Any]]:
        """The rows of `table`, each as a dictionary."""
        return self.table.to_dict("records")

    @property
    def measured(self) -> Board:
        """The same without published rows."""
        return replace(self, reported=()) if self.reported else self

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metric columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns of tables for people: those that say something on this suite."""
        return tuple(column for column in self.columns if column.text)

    @property
    def as_read(self) -> tuple[Column, ...]:
        """The same, those first that a reader looks at first."""
        first = [column for column in columns.headline(self.suite) if column in self.shown]
        return (*first, *(column for column in self.shown if column not in first))

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Every run behind the table, in the order of its rows."""
        return tuple(run for row in self.rows for run in row.runs)

    @property
    def note(self) -> str:
        """What was left out and what to do about it, in one line; "" where nothing was."""
        parts = []
        if self.stale:
            parts.append(
                f"{_runs(self.stale)} on another digest of {self.suite.name} left out: the suite has changed since. "
                f"Run them again to see them here."
            )
        if self.extra:
            parts.append(f"{_runs(self.extra)} with other seeds than {', '.join(map(str, self.seeds))} left out.")
        return " ".join(parts)


def leaderboard(
    results_dir: Path, suite: Suite, seeds: tuple[int, ...] | None = None, cache: Path | None = None
) -> Board:
    """The suite's table from the runs on disk; see `board` and, for the cache, `rows.read`."""
    return board(read(results_dir, suite, cache), seeds)


def board(source: SuiteRuns, seeds: tuple[int, ...] | None = None) -> Board:
    """The suite's table from runs that were read.

    Args:
        source: runs on any other digest of the suite are left out and counted.
        seeds: the seeds to average over; the suite's own where None.

    Raises:
        DataError: no run to show, or runs that must not share a table: see `rows.check_comparable`.
    """
    suite, stale = source.suite, source.stale
    wanted = suite.protocol.seeds if seeds is None else seeds
    chosen = [run for run in source.runs if run.spec.seed in wanted]
    extra = len(source.runs) - len(chosen)
    if not chosen:
        others = f" ({stale} on another digest, {extra} with other seeds)" if stale or extra else ""
        raise DataError(
            f"{source.folder} has no finished run of {suite.name} for seeds {', '.join(map(str, wanted))}{others}.",
            f"`croftbench leaderboard {suite.name} --all-seeds`"
            if extra
            else f"`croftbench run --method zero-shot,croft --suite {suite.name}` makes some.",
        )
    return replace(of_runs(chosen, suite, wanted, source), stale=stale, extra=extra, source=source)


def of_runs(runs: Sequence[RunResult], suite: Suite, seeds: tuple[int, ...], source: SuiteRuns | None = None) -> Board:
    """The table of the given runs, at least one: each configuration's mean over seeds, folds averaged first.

    `source` says what their names tell them from: all that was read with them.

    Raises:
        DataError: runs that must not share a table.
    """
    check_comparable([run.spec for run in runs])
    shown = {run.spec.run_id for run in runs}
    others = [run for run in source.runs if run.spec.run_id not in shown] if source else []  # for their names alone
    rows, of_suite = grouped(runs, suite, source.usual if source else None, others), columns.columns(suite)
    scores, kinds = board_scores.shown(rows, suite, of_suite)
    about = pd.DataFrame([_about(row, suite, seeds) for row in rows])
    table = pd.concat([about, _numbers(scores, kinds, suite, of_suite), _populations(scores, kinds, suite)], axis=1)
    table = table.assign(pareto=pareto(table))[_order_of_columns(suite, of_suite)]
    order = _order(table)
    ordered = table.loc[order].reset_index(drop=True)
    return Board(suite, seeds, ordered, of_suite, runs[0].spec.precision, rows=tuple(rows[i] for i in order))


# ------------------------------------------------------------------------------------- runs to rows


def _about(row: Row, suite: Suite, seeds: tuple[int, ...]) -> dict[str, Any]:
    """What one row's configuration is, and which of its runs there are."""
    pairs = {(run.spec.seed, run.spec.fold) for run in row.runs}
    folds = [fold.name for fold in suite.folds]
    return {
        "method": row.method,
        "encoder": row.encoder,
        "shots": row.spec.shots,
        "params": row.params,
        "params_digest": row.params_digest,
        "run_ids": " ".join(run.spec.run_id for run in row.runs),
        "ranked": not suite.limit and pairs >= set(product(seeds, folds)) and row.caveat == NONE,
        "imported": row.imported,
        "transductive": row.transductive,
        "recipe": row.recipe(suite),
        "caveat": row.caveat,
        "runs": len(pairs),
        "runs_expected": len(seeds) * len(folds),
        "seeds": len({seed for seed, _ in pairs}),
        "seeds_expected": len(seeds),
        "folds": len({fold for _, fold in pairs}),
        "folds_expected": len(folds),
    }


def _numbers(scores: pd.DataFrame, kinds: list[Kind], suite: Suite, of_suite: Sequence[Column]) -> pd.DataFrame:
    """Each metric with each suffix of `STATISTICS` (columns) by row."""
    value, low, high = (_by_seed(scores, kinds, suite, of_suite, of).groupby(level="row") for of in ENDS)
    statistics = (value.mean(), value.std(ddof=1), value.min(), value.max(), low.mean(), high.mean())
    return pd.concat([of.add_suffix(name) for name, of in zip(STATISTICS, statistics, strict=True)], axis=1)


def _by_seed(
    scores: pd.DataFrame, kinds: list[Kind], suite: Suite, of_suite: Sequence[Column], of: str
) -> pd.DataFrame:
    """Each metric by row and seed, made of what its folds average to; `of`: value, or low or high end of interval."""
    numbers = _over_folds(
        scores, {i: columns.source(kind, board_scores.own(suite)) for i, kind in enumerate(kinds)}, of
    )
    return pd.DataFrame({column.name: column.of(numbers) for column in of_suite})


def _over_folds(scores: pd.DataFrame, names: dict[int, str], of: str) -> pd.DataFrame:
    """Mean of a column by row and seed (index) and by the name that each kind has (columns)."""
    position = {name: i for i, name in enumerate(sorted(set(names.values())))}
    there = scores[scores["kind"].isin(list(names))]
    column = there["kind"].map({kind: position[name] for kind, name in names.items()}).rename("column")
    means = there[of].groupby([there["row"], there["seed"], column]).mean().unstack("column")
    return means.set_axis(list(position), axis=1)


def _populations(scores: pd.DataFrame, kinds: list[Kind], suite: Suite) -> pd.DataFrame:
    """Images of each population by row: a seed's, summed over its folds, averaged over seeds (draws may differ)."""

    def images(column: str, of: set[int]) -> pd.Series[float]:
        there = scores[scores["kind"].isin(list(of))]
        by_seed = there.groupby(["row", "seed", "fold"])[column].first().groupby(["row", "seed"]).sum()
        return by_seed.groupby("row").mean().astype(float)

    accuracies = {i: kind for i, kind in enumerate(kinds) if kind.metric == "accuracy"}
    detections = {i: kind for i, kind in enumerate(kinds) if kind.reference}
    counts = {"n/id": images("n_id", {i for i, kind in accuracies.items() if kind.shift == "id"})}
    for name in (*columns.covariate(suite), *suite.named):
        counts[f"n/{name}"] = images("n_id", {i for i, kind in accuracies.items() if kind.split == name})
    for name in (semantic.name for semantic in suite.semantic):
        counts[f"n/{name}"] = images("n_ood", {i for i, kind in detections.items() if kind.split == name})
    return pd.DataFrame(counts, index=sorted(set(scores["row"])))


# ------------------------------------------------------------------------------------- columns and order


def _order_of_columns(suite: Suite, of_suite: Sequence[Column]) -> list[str]:
    coverage = ["runs", "runs_expected", "seeds", "seeds_expected", "folds", "folds_expected"]
    values = [f"{column.name}{suffix}" for column in of_suite for suffix in STATISTICS]
    known = [*columns.covariate(suite), *suite.named]
    counts = ["n/id", *(f"n/{name}" for name in known), *(f"n/{split.name}" for split in suite.semantic)]
    about = ["method", "encoder", "shots", "ranked", "pareto", "imported", "transductive", "recipe", "caveat"]
    return [*about, *coverage, *values, *counts, "params", "params_digest", "run_ids"]


def pareto(table: pd.DataFrame) -> list[bool]:
    """Ranked rows that no other ranked row beats: at least as good in `MEAN` and `DETECTION`, better in one.

    In the order of falling `MEAN`: a row is in the front if its `DETECTION` is the best of its own `MEAN`, and better
    than that of every greater one. NaN is in no front.
    """
    points = pd.DataFrame({"x": table[MEAN].where(table["ranked"]), "y": table[DETECTION]}).dropna()
    best = points.groupby("x")["y"].max().sort_index(ascending=False)  # by MEAN
    before = best.cummax().shift(fill_value=-np.inf)  # over all greater ones
    front = best[best > before]
    inside = points["y"] == points["x"].map(front)
    return [bool(one) for one in inside.reindex(table.index, fill_value=False)]


def _order(table: pd.DataFrame) -> list[int]:
    """Positions: ranked rows by mean covariate accuracy, then ID accuracy, then name; unranked ones last, by name."""
    scores = table[[MEAN, ID]].where(table["ranked"], 0.0)
    keys = table[["ranked", "method", "encoder", "shots", "params_digest"]].assign(mean=scores[MEAN])
    keys = keys.assign(id=scores[ID])
    order = ["ranked", "mean", "id", "method", "encoder", "shots", "params_digest"]
    return list(keys.sort_values(order, ascending=[False, False, False, True, True, True, True], kind="stable").index)


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
