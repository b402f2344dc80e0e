"""What a plan would do: which runs are finished, how many images are to be encoded, about how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from croftbench.data.pool import Pool
from croftbench.draw.build import subset
from croftbench.encoders.features import kind_of
from croftbench.encoders.store import PLACES, FeatureStore
from croftbench.runs import failures, results
from croftbench.runs.execute import Workbench
from croftbench.runs.pending import unfinished
from croftbench.runs.planning import Job


@dataclass(frozen=True)
class Foreseen:
    """One run: its id, whether it is finished, and why it failed the last time, "" where it did not."""

    job: Job
    run_id: str
    finished: bool
    failed: str


@dataclass(frozen=True)
class Forecast:
    """What a plan would do.

    Attributes:
        runs: all of them.
        images: times that an image is encoded, each view counted; what is in the cache is not.
        seconds: for the runs, by finished ones of the same method and suite; None where some method has none.
    """

    runs: tuple[Foreseen, ...]
    images: int
    seconds: float | None


def of(bench: Workbench, jobs: Sequence[Job], folder: Path) -> Forecast:
    """Look at the results and the cache; nothing is written."""
    runs = tuple(
        Foreseen(job, job.spec.run_id, job.finished(folder), failures.reason(folder, job.spec)) for job in jobs
    )
    todo = unfinished(jobs, folder)
    return Forecast(runs, _images(bench, todo), _seconds(todo, folder, bench.suite.name))


@dataclass
class _Counted(FeatureStore):
    """A store that counts what it would encode."""

    store: FeatureStore
    images: int = 0
    seen: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        vars(self).update(vars(self.store))

    def _fill(self, pool: Pool, paths: Sequence[Path], of: Any, kind: str, advance: Callable[[int], object]) -> None:
        lacking = {path for path in paths if path not in self.seen and not path.exists()}
        self.seen |= lacking
        self.images += len(lacking) * len(pool.paths)


def _silent(images: int) -> None:
    """Nothing is encoded, so nobody is told."""


def _images(bench: Workbench, jobs: Sequence[Job]) -> int:
    store, protocol = bench.features.store, bench.suite.protocol
    counted = _Counted(store)
    for job in jobs:
        fold = bench.fold_of(job.spec, job.info)
        for kind in ("image", PLACES) if job.info.image == "patches" else (kind_of(job.info.image),):
            tests, trained = [split.pool for _, split in fold.tests], []
            if protocol.ood_transform == "train":
                tests = [split.pool for shift, split in fold.tests if shift != "semantic"]
                trained = [(split, 1) for shift, split in fold.tests if shift == "semantic"]
            if job.info.image == "tower":  # of test images it reads pixels
                tests, trained = [], []
            if job.info.train:
                tests += [] if fold.val is None else [fold.val.pool]
                trained.append((fold.train, job.spec.views))
            for pool in tests:
                counted._test(pool, kind, _silent)
            for split, views in trained:
                for entry in counted._views(subset(split), protocol, views, kind):
                    entry.fill()
    return counted.images


def _seconds(jobs: Sequence[Job], folder: Path, suite: str) -> float | None:
    """By the mean of what runs of each method took."""
    if not jobs:
        return 0.0
    took: dict[str, list[float]] = {}
    for run in results.read_all(folder, suite):
        took.setdefault(run.spec.method, []).append(sum(run.timings.values()))
    if any(job.spec.method not in took for job in jobs):
        return None
    return sum(fmean(took[job.spec.method]) for job in jobs)
