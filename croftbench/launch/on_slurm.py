"""Runs as an array of Slurm jobs, through submitit: each takes what no other has done or is at, until all is done.

A job that is preempted or runs out of time is put into the queue again and goes on: finished runs and finished blocks
of features are found, and what its process was at is anybody's.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench.errors import UsageError
from croftbench.launch import Failed, Launcher, missing
from croftbench.launch.work import Failure, Work, environment, report
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

WORKERS = 8
"""Jobs of the array where nobody says how many."""

FOLDER = "launch"
"""Of submitit's files, below the cache: what is to be done, and what the jobs print."""


@dataclass
class Piece:
    """What one job of the array does: the whole plan, from its own place on."""

    work: Work
    numbers: list[int]

    def __call__(self) -> list[Failure]:
        return self.work.run(self.numbers)

    def checkpoint(self) -> Any:
        """Called by submitit before the job is ended: the same again, which finds what is finished."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def run_all(
    launcher: Launcher, bench: Workbench, jobs: Sequence[Job], folder: Path, failed: Failed, force: bool = False
) -> None:
    """As `runs.engine.run_all`; waits until the array is done. Ctrl-C cancels it.

    Raises:
        UsageError: submitit is not installed, there is no Slurm, or it refuses an option.
    """
    try:
        import submitit
    except ImportError:
        raise missing("submitit", "slurm") from None
    count = min(launcher.workers or WORKERS, len(jobs))
    device = str(bench.device) if launcher.name == "local-slurm" else "auto"
    work = Work.of(bench, jobs, folder, force, device)
    place = bench.cache / FOLDER / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    starts = [one * len(jobs) // count for one in range(count)]
    every = list(range(len(jobs)))
    try:
        executor = submitit.AutoExecutor(place, cluster="local" if launcher.name == "local-slurm" else "slurm")
        executor.update_parameters(**{"name": "croftbench", "timeout_min": 60} | _typed(launcher.options))
        setup = [f"export {name}={value!r}" for name, value in environment().items()]
        if launcher.name == "slurm":
            executor.update_parameters(slurm_setup=setup)
        with executor.batch():
            waiting = [executor.submit(Piece(work, every[start:] + every[:start])) for start in starts]
    except (RuntimeError, TypeError, ValueError, NameError, AssertionError, KeyError, OSError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"submitit cannot start the jobs: {said}", "Try --launcher local-slurm to see a plan run."
        ) from error
    bench.progress.note(f"{count} jobs of {launcher.name}, {waiting[0].job_id} and on; what they print is in {place}.")
    report(jobs, folder, _watch(waiting, jobs, folder, bench), failed, f"see {place}")


def _typed(options: dict[str, str]) -> dict[str, Any]:
    def typed(text: str) -> Any:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    return {name: typed(value) for name, value in options.items()}


def _watch(waiting: Sequence[Any], jobs: Sequence[Job], folder: Path, bench: Workbench) -> list[Failure]:
    """Until all jobs of the array have ended, show how many runs are finished; what failed."""
    bench.progress.stage(f"runs in {len(waiting)} jobs", len(jobs))
    told: list[Failure] = []
    shown, left = 0, list(waiting)
    try:
        while left:
            for job in [job for job in left if job.done()]:
                left.remove(job)
                error = job.exception()
                if error is None:
                    told += job.result()
                else:
                    bench.progress.note(f"job {job.job_id} ended early: {str(error).splitlines()[0]}")
            finished = sum(job.finished(folder) for job in jobs)
            bench.progress.advance(max(0, finished - shown))
            shown = max(shown, finished)
            if left:
                time.sleep(0.5)
    except BaseException:
        for job in left:
            job.cancel()
        raise
    return told
