"""Which runs of two contenders answer the same images, and what those images show: the input of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from croftbench import draw
from croftbench.data.roots import Roots
from croftbench.draw.splits import Fold, Split
from croftbench.errors import DataError, UsageError
from croftbench.report import typed
from croftbench.report.rows import More, Row, SeedFold
from croftbench.runs import per_image, results
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

SAME = ("encoder", "weights_digest", "model", "transform", "precision")
"""What two contenders must share, so that the difference is the method's."""


class AmbiguousError(UsageError):
    """A name fits several configurations."""


@dataclass(frozen=True)
class PairedSplit:
    """A test split as both contenders answered it; `units` (N,) numbers the object that each image shows."""

    a: SplitTable
    b: SplitTable
    units: npt.NDArray[np.int64]


def choose(contenders: Sequence[Row], a: str, b: str) -> tuple[Row, Row]:
    """The two configurations that the names mean, with one encoder between them; see `typed.meant`.

    Raises:
        UsageError: a name fits nothing, or several configurations; both mean the same; or they share no encoder.
    """
    first, second = typed.meant(contenders, a), typed.meant(contenders, b)
    fitting = [(x, y) for x in first for y in second if x is not y and _setting(x.spec) == _setting(y.spec)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(
            f"'{a}' and '{b}' are no two configurations with the same encoder.", "`croftbench leaderboard`"
        )
    sides = [list({id(pair[side]): pair[side] for pair in fitting}.values()) for side in (0, 1)]
    name, several = (a, sides[0]) if len(sides[0]) > 1 else (b, sides[1])
    raise AmbiguousError(
        f"'{name}' names {len(several)} configurations: {'; '.join(typed.labels(several))}.",
        "Give one of these in quotes, or the identifier of one of its runs.",
    )


def paired(
    folder: Path, suite: Suite, a: Row, b: Row, roots: Roots | None = None, more: More | None = None
) -> dict[SeedFold, list[PairedSplit]]:
    """Both contenders' per-image tables, for every seed and fold that both have, in order.

    `roots` is where the suite's images are; what ships when None. `more` adds a score to the tables.

    Raises:
        UsageError: they have no seed and fold in common.
        DataError: a table is missing or damaged, or its images are not those that the suite draws.
    """
    keys = sorted(set(a.by_seed_and_fold) & set(b.by_seed_and_fold))
    if not keys:
        raise UsageError(
            f"{' and '.join(typed.labels([a, b]))} have no seed and fold of {suite.name} in common.",
            "Run both with the same --seeds.",
        )
    _check_tables(folder, [one.by_seed_and_fold[key].spec for key in keys for one in (a, b)])
    numbers: dict[tuple[str, str], int] = {}
    splits, roots = {}, (roots or Roots()).behind(suite)
    for seed, fold_name in keys:
        spec = a.by_seed_and_fold[seed, fold_name].spec
        fold = draw.fold(suite, fold_name, seed, spec.shots, roots=roots, train=False, allow_incomplete=True)
        runs = [one.by_seed_and_fold[seed, fold_name] for one in (a, b)]
        sides = [_read(folder, run, fold) for run in runs]
        if more:
            sides = [[*more(run, tuple(tables))] for run, tables in zip(runs, sides, strict=True)]
        units = [_units(split, numbers, roots) for split in _splits(fold)]
        splits[seed, fold_name] = [PairedSplit(*pair) for pair in zip(*sides, units, strict=True)]
    return splits


def _setting(spec: RunSpec) -> list[str]:
    return [str(getattr(spec, name)) for name in SAME]


# ------------------------------------------------------------------------------------- tables


def _check_tables(folder: Path, specs: Sequence[RunSpec]) -> None:
    missing = [spec for spec in specs if not per_image.path_of(folder, spec).is_file()]
    if missing:
        spec = missing[0]
        others = f", like {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"run {spec.run_id} ({spec.method} on {spec.suite}, fold {spec.fold}, seed {spec.seed}){others} has no "
            f"per-image table.",
            f"Delete {results.path_of(folder, spec)} and run it again, which restores it.",
        )


def _read(folder: Path, run: RunResult, fold: Fold) -> list[SplitTable]:
    """A run's table, once it holds the splits and labels that the suite draws."""
    spec, path = run.spec, per_image.path_of(folder, run.spec)
    tables = [
        table for table in per_image.read(path, run.table) if table.shift != "named"
    ]  # not every method has these
    expected = _splits(fold)
    same = len(tables) == len(expected) and all(
        table.name == split.name and np.array_equal(table.labels, split.labels)
        for table, split in zip(tables, expected, strict=True)
    )
    if not same:
        raise DataError(
            f"{path} does not hold the images that {spec.suite} draws for seed {spec.seed}, fold {spec.fold}.",
            f"Delete {results.path_of(folder, spec)} and run it again.",
        )
    return tables


def _splits(fold: Fold) -> list[Split]:
    return [split for _, split in fold.tests]


def _units(split: Split, numbers: dict[tuple[str, str], int], roots: Roots) -> npt.NDArray[np.int64]:
    """A number for what each image shows: the object, in tables that say so, else the image; everywhere the same."""
    table, paths = split.pool.table, split.pool.paths
    if split.pool.content:  # a table that ships
        glyphs = roots.rows(table)
        shown = [glyphs[position].name or glyphs[position].path for position in split.rows]
    else:
        shown = [paths[position] for position in split.rows]
    return np.array([numbers.setdefault((table, name), len(numbers)) for name in shown], dtype=np.int64)
