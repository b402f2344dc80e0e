"""What a plan would do: which runs are finished, what is to be encoded, how long it takes, how much it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from croftbench.encoders import rates
from croftbench.encoders.rates import Rate
from croftbench.runs import failures, space
from croftbench.runs.costs import Cost, Known
from croftbench.runs.execute import Workbench
from croftbench.runs.pending import unfinished
from croftbench.runs.planning import Job
from croftbench.runs.space import Space


@dataclass(frozen=True)
class Foreseen:
    """One run.

    Attributes:
        job, run_id: which.
        finished: whether there is nothing to do.
        failed: why it failed the last time, "" where it did not.
        cost: what it will take; no seconds where it is finished.
    """

    job: Job
    run_id: str
    finished: bool
    failed: str
    cost: Cost


@dataclass(frozen=True)
class Forecast:
    """What a plan would do.

    Attributes:
        runs: all of them.
        space: images to encode, what the unfinished runs write, and what they hold in memory.
        rate: how fast the encoder encoded here the last time; None where it never did.
    """

    runs: tuple[Foreseen, ...]
    space: Space
    rate: Rate | None

    @property
    def images(self) -> int:
        """Times that an image is encoded, each view counted; what is in the cache is not."""
        return self.space.images

    @property
    def seconds(self) -> float | None:
        """For fitting and scoring all runs; None where of some nothing is known."""
        known = [run.cost.seconds for run in self.runs if not run.finished]
        return None if None in known else sum(one for one in known if one is not None)

    @property
    def encoding(self) -> float | None:
        """Seconds for encoding images; None where no rate is known. Texts are not counted."""
        if not self.images:
            return 0.0
        return None if self.rate is None else self.images * self.rate.seconds / self.rate.images


def of(bench: Workbench, jobs: Sequence[Job], folder: Path) -> Forecast:
    """Look at the results and the cache; nothing is written."""
    todo = unfinished(jobs, folder)
    ids, known = {job.spec.run_id for job in todo}, Known(bench, folder) if todo else None
    runs = tuple(
        Foreseen(
            job, job.spec.run_id, job.spec.run_id not in ids, failures.reason(folder, job.spec),
            known.cost(job) if known and job.spec.run_id in ids else Cost(0.0, "it is finished"),
        )
        for job in jobs
    )  # fmt: skip
    return Forecast(runs, space.of(bench, todo), rates.read(bench.cache, bench.identity))
