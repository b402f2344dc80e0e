"""Runs of a suite, read once; which of them make one row of a leaderboard, and what the rows are called."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from croftbench.errors import CroftbenchError, DataError
from croftbench.files import canonical, digest
from croftbench.report import naming, populations
from croftbench.report.naming import Usual
from croftbench.runs import bundle, per_image, posthoc, results
from croftbench.runs.per_image import SplitTable
from croftbench.runs.posthoc import Posthoc
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

CONFIGURATION = (
    "method", "method_version", "source", "params", "encoder", "weights_digest", "model", "transform", "precision",
    "shots", "views",
)  # fmt: skip
"""Fields of a RunSpec that make two runs different rows of a leaderboard; seeds and folds are averaged over."""

OWN = "suite"
"""What tables call the recipe of a row that used the suite's own."""
More = Callable[[RunResult, tuple[SplitTable, ...]], tuple[SplitTable, ...]]
"""A run and its per-image tables -> these with one more score; an error where it cannot be had."""
SeedFold = tuple[int, str]
"""What tells the runs of one configuration apart."""


# ------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class SuiteRuns:
    """A suite's finished runs and what is kept beside them. Each file is read once, the last two kinds when asked for.

    Attributes:
        folder: the results folder.
        suite: as it is now.
        runs: on this digest of the suite, in the order of their paths.
        stale: how many are on another digest.
        usual: what their names are told apart from, see `naming.usual`.
        more: adds a score to per-image tables; those that it cannot be added to stay as they are.
        refused: why it could not.
    """

    folder: Path
    suite: Suite
    runs: tuple[RunResult, ...]
    stale: int
    usual: Usual | None = field(default=None, repr=False, compare=False)
    more: More | None = field(default=None, repr=False, compare=False)
    refused: list[CroftbenchError] = field(default_factory=list, repr=False, compare=False)
    _posthoc: dict[str, Posthoc] = field(default_factory=dict, repr=False, compare=False)
    _per_image: dict[str, tuple[SplitTable, ...]] = field(default_factory=dict, repr=False, compare=False)
    _named: per_image.Named = field(default_factory=dict, repr=False, compare=False)

    def posthoc(self, spec: RunSpec) -> Posthoc:
        """Post-hoc scores of a run; an empty record where there are none.

        Raises:
            DataError: the record is damaged.
        """
        if spec.run_id not in self._posthoc:
            self._posthoc[spec.run_id] = posthoc.read(self.folder, spec)
        return self._posthoc[spec.run_id]

    def per_image(self, row: Row) -> tuple[tuple[SplitTable, ...], ...]:
        """Per-image tables of a row's runs, in their order; they may be deleted: empty where not all are there.

        Raises:
            DataError: a table that is there is damaged.
        """
        for run in row.runs:
            if run.spec.run_id not in self._per_image:
                path = per_image.path_of(self.folder, run.spec)
                if not path.is_file():
                    return ()
                tables = per_image.read(path, run.table, named=self._named)
                self._per_image[run.spec.run_id] = self._completed(run, tuple(tables))
        return tuple(self._per_image[run.spec.run_id] for run in row.runs)

    def _completed(self, run: RunResult, tables: tuple[SplitTable, ...]) -> tuple[SplitTable, ...]:
        try:
            return self.more(run, tables) if self.more else tables
        except CroftbenchError as error:
            self.refused.append(error)
            return tables


def read(folder: Path, suite: Suite, cache: Path | None = None) -> SuiteRuns:
    """Read a suite's runs; `cache` has what is known of methods, which are imported without it.

    Raises:
        DataError: there is no such folder, or a run's file is damaged.
    """
    if not folder.is_dir():
        make = f"Has it moved? --results names another; `croftbench run --method croft --suite {suite.name}` makes one."
        raise DataError(f"there is no results folder {folder}.", make)
    with no_garbage():
        every = list(results.read_all(folder, suite.name))
    current = tuple(run for run in every if run.spec.suite_digest == suite.digest)
    return SuiteRuns(folder, suite, current, len(every) - len(current), naming.usual(suite, cache))


@contextmanager
def no_garbage() -> Iterator[None]:
    """While only things are made that stay, looking for garbage among them again and again is a fifth of the time.
    While tables and pictures are made of them it is an eighth, and looks at all runs each time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


# ------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Row:
    """One configuration of a method and its runs, at least one.

    Attributes:
        runs: by seed and fold.
        method, encoder: as shown: the name, and whatever tells it from the other rows.
        caveat: why its numbers may not be ranked among the others', see `populations.caveats`.
    """

    runs: tuple[RunResult, ...]
    method: str
    encoder: str
    caveat: str = populations.NONE

    @property
    def spec(self) -> RunSpec:
        """Of the first run: the others differ in seed and fold."""
        return self.runs[0].spec

    @cached_property
    def configuration(self) -> str:
        """The same text for every run of this row, another for any other."""
        return configuration(self.spec)

    @cached_property
    def params(self) -> str:
        """All hyper-parameters, as canonical JSON."""
        return canonical(self.spec.params)

    @cached_property
    def params_digest(self) -> str:
        """The first digits of the digest of `params`."""
        return digest(self.spec.params)[:12]

    @cached_property
    def by_seed_and_fold(self) -> dict[SeedFold, RunResult]:
        """The runs by what tells them apart."""
        return {(run.spec.seed, run.spec.fold): run for run in self.runs}

    @property
    def summed(self) -> list[RunResult]:
        """The runs in the order in which their numbers are added up: the last bit of a mean depends on it.

        It is that of their files, and the same for runs that were read in any other.
        """
        return sorted(self.runs, key=lambda run: run.spec.run_id)

    @property
    def transductive(self) -> bool:
        """Whether the outputs of an image depended on those beside it; older runs that do not record it say no."""
        return any(run.needs.get("transductive", False) for run in self.runs)

    def recipe(self, suite: Suite) -> str:
        """The named recipe that the runs used; "suite" for the suite's own, and where none is recorded."""
        return OWN if self.spec.recipe in ("", suite.recipe) else self.spec.recipe

    @property
    def imported(self) -> bool:
        """Whether a run came out of somebody's bundle."""
        return any(map(bundle.imported, self.runs))


def grouped(
    runs: Iterable[RunResult],
    suite: Suite | None = None,
    usual: Usual | None = None,
    among: Iterable[RunResult] = (),
) -> list[Row]:
    """The runs by configuration, in the order in which each first appears.

    Where a fold was measured twice, because its images on disk had changed, each time is a row of its own. Names tell
    each from the suite's recipe, and from `among`, so that a row is called the same in every table.
    """
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(configuration(run.spec), []).append(run)
    apart = [part for group in groups.values() for part in populations.generations(group)]
    ordered = [tuple(sorted(part, key=lambda run: (run.spec.seed, run.spec.fold))) for part in apart]
    others = {configuration(run.spec): run.spec for run in among if configuration(run.spec) not in groups}
    shown = _names([group[0].spec for group in ordered], list(others.values()), suite, usual)
    reasons = populations.caveats(ordered)
    return [
        Row(group, f"{method}{_found(group)}", encoder, caveat)
        for group, (method, encoder), caveat in zip(ordered, shown, reasons, strict=True)
    ]


def _found(runs: Sequence[RunResult]) -> str:
    """How many shots there were, as " (3 of 1000 shots)", where no class had as many images as were asked for."""
    counts = [run.env.get("shots") for run in runs]
    most = [count["most"] for count in counts if isinstance(count, dict) and isinstance(count.get("most"), int)]
    asked = runs[0].spec.shots
    return f" ({max(most)} of {asked} shots)" if most and max(most) < asked else ""


def configuration(spec: RunSpec) -> str:
    """The same text for runs of one row, another for any other."""
    return canonical({name: getattr(spec, name) for name in CONFIGURATION})


def check_comparable(specs: Sequence[RunSpec]) -> None:
    """Same suite, digest and precision everywhere; one transform per encoder, since each encoder brings its own.

    Raises:
        DataError: two runs that must not share a table, by name, and in what they differ.
    """
    first: dict[str, RunSpec] = {}
    for spec in specs:
        of_encoder = first.setdefault(spec.encoder, spec)
        for name, other in (
            ("suite", specs[0]),
            ("suite_digest", specs[0]),
            ("precision", specs[0]),
            ("transform", of_encoder),
        ):
            one, two = (str(getattr(of, name)) for of in (other, spec))
            if one != two:
                raise DataError(
                    f"runs {other.run_id} and {spec.run_id} differ in {name} ({one} and {two}) and must not "
                    f"share a table.",
                    "Keep them in separate folders with --results.",
                )


# ------------------------------------------------------------------------------------- names


def marked(name: str, row: Mapping[Any, Any]) -> str:
    """A row's name with what every table must say of it: that its numbers are imported, transductive, or of
    other or too few images.
    """
    marks = [mark for mark in ("imported", "transductive") if row[mark]]
    if row["caveat"] != populations.NONE:
        marks.append(row["caveat"])
    return name + "".join(f" ({mark})" for mark in marks)


def _names(
    specs: Sequence[RunSpec], others: Sequence[RunSpec], suite: Suite | None, usual: Usual | None
) -> list[tuple[str, str]]:
    """Method and encoder of each row as shown; digits of weights and model only where an encoder has several."""
    weights: dict[str, set[str]] = {}
    for spec in specs:
        weights.setdefault(spec.encoder, set()).add(_weights(spec))
    encoders = [
        f"{spec.encoder} ({_weights(spec)})" if len(weights[spec.encoder]) > 1 else spec.encoder for spec in specs
    ]
    shown = naming.named([*specs, *others], suite, usual or (lambda spec: None))
    return list(zip(shown[: len(specs)], encoders, strict=True))


def _weights(spec: RunSpec) -> str:
    """First digits of the weights' digest and, where it is recorded, of the rest of the encoder's."""
    return "-".join(part for part in (spec.weights_digest[:6], spec.model[:4]) if part)
