"""Which runs of two contenders answer the same images, and what those images show: the input of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from croftbench import draw
from croftbench.data.roots import Roots
from croftbench.draw.splits import Fold, Split
from croftbench.errors import DataError, UsageError, unknown
from croftbench.files import canonical
from croftbench.report.rows import differences, grouped
from croftbench.runs import per_image, results
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

SAME = ("encoder", "weights_digest", "transform", "precision")
"""What two contenders must share, so that the difference is the method's."""

Key = tuple[int, str]
"""Seed and fold."""


class AmbiguousError(UsageError):
    """A name fits several configurations."""


@dataclass(frozen=True)
class Contender:
    """One configuration of a method and its runs by seed and fold."""

    runs: dict[Key, RunResult]

    @property
    def spec(self) -> RunSpec:
        return next(iter(self.runs.values())).spec


@dataclass(frozen=True)
class PairedSplit:
    """A test split as both contenders answered it; `units` (N,) numbers the object that each image shows."""

    a: SplitTable
    b: SplitTable
    units: npt.NDArray[np.int64]


def choose(runs: Iterable[RunResult], a: str, b: str) -> tuple[Contender, Contender]:
    """The two configurations that the names mean, with one encoder between them.

    A name is a method, narrowed down where it has several configurations ("croft lambda2=0.1 shots=3"), or the first
    digits of any one of its runs' identifiers.

    Raises:
        UsageError: a name fits nothing, or several configurations; both mean the same; or they share no encoder.
    """
    groups = grouped(runs, "transform", "precision")
    contenders = [Contender({(run.spec.seed, run.spec.fold): run for run in group}) for group in groups]
    first, second = _named(contenders, a), _named(contenders, b)
    fitting = [(x, y) for x in first for y in second if x is not y and _setting(x.spec) == _setting(y.spec)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(
            f"'{a}' and '{b}' are no two configurations with the same encoder.", "`croftbench leaderboard`"
        )
    sides = [list({id(pair[side]): pair[side].spec for pair in fitting}.values()) for side in (0, 1)]
    name, several = (a, sides[0]) if len(sides[0]) > 1 else (b, sides[1])
    raise AmbiguousError(
        f"'{name}' names {len(several)} configurations: {'; '.join(labels(several))}.",
        "Give one of these in quotes, or the identifier of one of its runs.",
    )


def labels(specs: Sequence[RunSpec]) -> list[str]:
    """Names that `choose` takes: the method, and whatever tells it from the other configurations of that method."""
    told = differences([spec.method for spec in specs], [_described(spec) for spec in specs])
    return [" ".join([spec.method, *own]) for spec, own in zip(specs, told, strict=True)]


def paired(
    folder: Path, suite: Suite, a: Contender, b: Contender, roots: Roots | None = None
) -> dict[Key, list[PairedSplit]]:
    """Both contenders' per-image tables, for every seed and fold that both have, in order.

    `roots` is where the suite's images are; what ships when None.

    Raises:
        UsageError: they have no seed and fold in common.
        DataError: a table is missing or damaged, or its images are not those that the suite draws.
    """
    keys = sorted(set(a.runs) & set(b.runs))
    if not keys:
        raise UsageError(
            f"{' and '.join(labels([a.spec, b.spec]))} have no seed and fold of {suite.name} in common.",
            "Run both with the same --seeds.",
        )
    _check_tables(folder, [one.runs[key].spec for key in keys for one in (a, b)])
    names: dict[tuple[str, str], int] = {}
    found, roots = {}, roots or Roots()
    for seed, fold_name in keys:
        spec = a.runs[seed, fold_name].spec
        fold = draw.fold(suite, fold_name, seed, spec.shots, roots=roots, train=False, allow_incomplete=True)
        sides = [_read(folder, one.runs[seed, fold_name].spec, fold) for one in (a, b)]
        units = [_units(split, names, roots) for split in _splits(fold)]
        found[seed, fold_name] = [PairedSplit(*pair) for pair in zip(*sides, units, strict=True)]
    return found


# ------------------------------------------------------------------------------------- names


def _named(known: Sequence[Contender], name: str) -> list[Contender]:
    """Every configuration that a name may mean."""
    method, *settings = name.split() or [""]
    by_run = [c for c in known if any(run.spec.run_id.startswith(method) for run in c.runs.values())]
    if len(method) >= 6 and len(by_run) == 1:
        return by_run
    found = [contender for contender in known if contender.spec.method == method]
    if not known:
        raise UsageError("there are no runs to compare.", "`croftbench run --method croft,zero-shot` makes some.")
    if not found:
        raise unknown("method with runs here", name, {contender.spec.method for contender in known})
    for setting in settings:
        key, _, value = setting.partition("=")
        choices = {choice for contender in found for choice in _described(contender.spec)}
        if key not in choices:
            raise unknown(f"setting of {method}", key, choices)
        found, before = [c for c in found if _described(c.spec).get(key) == value], found
        if not found:
            raise unknown(f"{key} of {method}", value, {_described(c.spec).get(key, "") for c in before})
    return found


def _described(spec: RunSpec) -> dict[str, str]:
    """All that may tell two configurations of a method apart, as text."""
    params = {name: value if isinstance(value, str) else canonical(value) for name, value in spec.params.items()}
    return params | {
        "version": str(spec.method_version), "source": spec.source[:6], "views": str(spec.views),
        "shots": str(spec.shots), "encoder": spec.encoder, "weights": spec.weights_digest[:6],
        "transform": spec.transform.replace(" ", "_"), "precision": spec.precision,
    }  # fmt: skip


def _setting(spec: RunSpec) -> list[str]:
    fields = asdict(spec)
    return [str(fields[name]) for name in SAME]


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


def _read(folder: Path, spec: RunSpec, fold: Fold) -> list[SplitTable]:
    """A run's table, once it holds the splits and labels that the suite draws."""
    path = per_image.path_of(folder, spec)
    tables = [table for table in per_image.read(path) if table.shift != "named"]  # not every method has these
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


def _units(split: Split, names: dict[tuple[str, str], int], roots: Roots) -> npt.NDArray[np.int64]:
    """A number for what each image shows: the object, in tables that say so, else the image; everywhere the same."""
    table, paths = split.pool.table, split.pool.paths
    if split.pool.content:  # a table that ships
        rows = roots.rows(table)
        shown = [rows[position].name or rows[position].path for position in split.rows]
    else:
        shown = [paths[position] for position in split.rows]
    return np.array([names.setdefault((table, name), len(names)) for name in shown], dtype=np.int64)
