"""Runs of a suite, read once; which of them make one row of a leaderboard, and what the rows are called."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from croftbench.errors import DataError
from croftbench.files import canonical
from croftbench.runs import per_image, posthoc, results
from croftbench.runs.per_image import SplitTable
from croftbench.runs.posthoc import Posthoc
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

CONFIGURATION = ("method", "method_version", "source", "params", "encoder", "weights_digest", "shots", "views")
"""Fields of a RunSpec that make two runs different rows of a leaderboard; seeds and folds are averaged over."""


@dataclass(frozen=True)
class SuiteRuns:
    """A suite's finished runs and what is kept beside them; each file is read once, the last two when asked for.

    Attributes:
        folder: the results folder.
        suite: as it is now.
        runs: on this digest of the suite, in the order of their paths.
        stale: how many are on another digest.
    """

    folder: Path
    suite: Suite
    runs: tuple[RunResult, ...]
    stale: int
    _posthoc: dict[str, Posthoc] = field(default_factory=dict, repr=False, compare=False)

    def posthoc(self, spec: RunSpec) -> Posthoc:
        """Post-hoc scores of a run; an empty record where there are none.

        Raises:
            DataError: the record is damaged.
        """
        if not (self.folder / "posthoc" / spec.suite).is_dir():
            return Posthoc(spec)
        if spec.run_id not in self._posthoc:
            self._posthoc[spec.run_id] = posthoc.read(self.folder, spec)
        return self._posthoc[spec.run_id]

    def per_image(self, runs: Iterable[RunResult]) -> tuple[tuple[SplitTable, ...], ...]:
        """Per-image tables of runs, in their order; they may be deleted: empty where not all are there.

        Raises:
            DataError: a table that is there is damaged.
        """
        paths = [per_image.path_of(self.folder, run.spec) for run in runs]
        return tuple(tuple(per_image.read(path)) for path in paths) if all(path.is_file() for path in paths) else ()


def read(folder: Path, suite: Suite) -> SuiteRuns:
    """Read a suite's runs.

    Raises:
        DataError: a run's file is damaged.
    """
    collecting = gc.isenabled()
    gc.disable()  # half a million small objects, no circle among them: looking for one took a third of the time
    try:
        every = list(results.read_all(folder, suite.name))
    finally:
        if collecting:
            gc.enable()
    current = tuple(run for run in every if run.spec.suite_digest == suite.digest)
    return SuiteRuns(folder, suite, current, len(every) - len(current))


@dataclass(frozen=True)
class Row:
    """One configuration.

    Attributes:
        runs: its runs, in the order in which they were read: means are summed in it, to the last digit.
        method, encoder: as shown: the name, and whatever tells it from the other rows.
    """

    runs: tuple[RunResult, ...]
    method: str
    encoder: str

    @property
    def spec(self) -> RunSpec:
        """Of the first run: the others differ in seed and fold."""
        return self.runs[0].spec

    @property
    def by_seed(self) -> tuple[RunResult, ...]:
        """Its runs by seed and fold."""
        return tuple(sorted(self.runs, key=lambda run: (run.spec.seed, run.spec.fold)))

    @cached_property
    def configuration(self) -> str:
        """The same text for every run of this row, another for any other."""
        return configuration(self.spec)

    @property
    def transductive(self) -> bool:
        """Whether the outputs of an image depended on those beside it; older runs that do not record it say no."""
        return transductive(self.runs)


def rows_of(runs: Iterable[RunResult]) -> list[Row]:
    """The runs by configuration, in the order in which each first appears."""
    groups = grouped(runs)
    names = labels([group[0].spec for group in groups])
    return [Row(tuple(group), *name) for group, name in zip(groups, names, strict=True)]


def grouped(runs: Iterable[RunResult], *also: str) -> list[list[RunResult]]:
    """Runs that differ in seed and fold alone; with `also`, further fields that must agree."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(configuration(run.spec, *also), []).append(run)
    return list(groups.values())


def configuration(spec: RunSpec, *also: str) -> str:
    """The same text for runs of one row, another for any other."""
    return canonical({name: getattr(spec, name) for name in (*CONFIGURATION, *also)})


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


def labels(specs: Sequence[RunSpec]) -> list[tuple[str, str]]:
    """Method and encoder of each row as shown: the name, and whatever tells it from the others of that name."""
    settings = [
        {**spec.params, "version": spec.method_version, "source": spec.source[:6], "views": spec.views}
        for spec in specs
    ]
    told = differences([spec.method for spec in specs], settings)
    weights: dict[str, set[str]] = {}
    for spec in specs:
        weights.setdefault(spec.encoder, set()).add(spec.weights_digest)
    names = []
    for spec, own in zip(specs, told, strict=True):
        several = len(weights[spec.encoder]) > 1
        encoder = f"{spec.encoder} ({spec.weights_digest[:6]})" if several else spec.encoder
        names.append((" ".join([spec.method, *own]), encoder))
    return names


def differences(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For each of several things, "setting=value" of every setting in which those of its name differ.

    Each value is serialised once, so the work grows with the number of settings, not with its square.
    """
    texts = [{key: canonical(value) for key, value in own.items()} for own in settings]
    values: dict[str, dict[str, set[str]]] = {}
    count: dict[str, int] = {}
    for name, own in zip(names, texts, strict=True):
        count[name] = count.get(name, 0) + 1
        for key, text in own.items():
            values.setdefault(name, {}).setdefault(key, set()).add(text)
    present: dict[tuple[str, str], int] = {}
    for name, own in zip(names, texts, strict=True):
        for key in own:
            present[name, key] = present.get((name, key), 0) + 1

    def differs(name: str, key: str) -> bool:
        everywhere = present[name, key] == count[name]
        return len(values[name][key] | (set() if everywhere else {"null"})) > 1

    varying = {name: {key for key in keys if differs(name, key)} for name, keys in values.items()}
    return [
        [
            f"{key}={value if isinstance(value, str) else texts[i][key]}"
            for key, value in own.items()
            if key in varying[name]
        ]
        for i, (name, own) in enumerate(zip(names, settings, strict=True))
    ]


def marked(name: str, row: Mapping[Any, Any]) -> str:
    """A row's name with what every table must say of it: that its numbers are imported, or transductive."""
    return name + "".join(f" ({mark})" for mark in ("imported", "transductive") if row[mark])


def transductive(runs: Iterable[RunResult]) -> bool:
    """Whether the outputs of an image depended on those beside it; runs from before this was recorded say no."""
    return any(run.needs.get("transductive", False) for run in runs)
