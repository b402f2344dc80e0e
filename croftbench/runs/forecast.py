"""What a plan would do: which runs are finished, how many images are to be encoded, about how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from croftbench.runs import failures, results, space
from croftbench.runs.execute import Workbench
from croftbench.runs.pending import unfinished
from croftbench.runs.planning import Job
from croftbench.runs.space import Space


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
        space: images to encode, and what the unfinished runs write.
        seconds: for the runs, by finished ones of the same method and suite; None where some method has none.
    """

    runs: tuple[Foreseen, ...]
    space: Space
    seconds: float | None

    @property
    def images(self) -> int:
        """Times that an image is encoded, each view counted; what is in the cache is not."""
        return self.space.images


def of(bench: Workbench, jobs: Sequence[Job], folder: Path) -> Forecast:
    """Look at the results and the cache; nothing is written."""
    runs = tuple(
        Foreseen(job, job.spec.run_id, job.finished(folder), failures.reason(folder, job.spec)) for job in jobs
    )
    todo = unfinished(jobs, folder)
    return Forecast(runs, space.of(bench, todo), _seconds(todo, folder, bench.suite.name))


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
