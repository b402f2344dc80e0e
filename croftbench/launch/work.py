"""A plan as other processes take it: packed, and run piece by piece, each process with one workbench."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench import child, mirrors
from croftbench.errors import CroftbenchError, DataError
from croftbench.launch import Failed
from croftbench.runs import alone, engine, failures
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

Failure = tuple[str, CroftbenchError]
"""A run's id, and why it failed."""


@dataclass(frozen=True)
class Work:
    """What is to be done, for any process that finds the same folders.

    Attributes:
        plan: the workbench's arguments and the jobs, pickled.
        folder: of results.
        force: run again what is finished.
        begun: what was there at the beginning, see `engine.run_all`.
    """

    plan: bytes
    folder: Path
    force: bool
    begun: Mapping[str, engine.Stamps]

    @classmethod
    def of(cls, bench: Workbench, jobs: Sequence[Job], folder: Path, force: bool, device: str = "") -> Work:
        """`device` is a name that each process takes for itself; the bench's own where empty.

        Raises:
            UsageError: a method that no other process can import.
        """
        about = alone.about(bench, replace(bench.limits, alone=False)) | {"device": device or str(bench.device)}
        plan = alone.packed((about, list(jobs)), [job.info for job in jobs])
        return cls(plan, folder, force, engine.stamps(jobs, folder))

    def encode(self, number: int) -> None:
        """See to it that all features of a job are in the cache, with whoever else is at it."""
        bench, jobs = _unpacked(self.plan)
        bench.encode(jobs[number].spec, jobs[number].info)

    def run(self, numbers: Sequence[int]) -> list[Failure]:
        """Run some of the jobs, but for those that another process does; those that failed."""
        bench, jobs = _unpacked(self.plan)
        failed: list[Failure] = []

        def note(job: Job, error: CroftbenchError) -> None:
            failed.append((job.spec.run_id, error))

        engine.run_all(bench, [jobs[number] for number in numbers], self.folder, note, self.force, self.begun)
        return failed


@lru_cache(maxsize=1)
def _unpacked(plan: bytes) -> tuple[Workbench, list[Job]]:
    from croftbench.runs.environment import device
    from croftbench.runs.execute import Workbench

    about, jobs = pickle.loads(plan)
    return Workbench(**about | {"device": device(about["device"])}), jobs


def environment() -> dict[str, str]:
    """Variables that a process elsewhere needs to find the same modules and to compute the same bytes."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CROFTBENCH_LEASE", "CUBLAS_WORKSPACE_CONFIG")
    told = {name: os.environ[name] for name in names if name in os.environ}
    return told | mirrors.variable() | {"PYTHONPATH": child.search_path()}


def report(jobs: Sequence[Job], folder: Path, told: Sequence[Failure], failed: Failed, lost: str) -> None:
    """Hand on what failed, each job once.

    Raises:
        DataError: some ended without a word.
    """
    said, silent = dict(told), 0
    for job in jobs:
        if (error := said.get(job.spec.run_id)) is not None:
            failed(job, error)
        elif not job.finished(folder):
            if why := failures.reason(folder, job.spec):
                failed(job, CroftbenchError(why, "It failed in another process."))
            silent += not why
    if silent:
        what = f"{silent} of {len(jobs)} runs have no result, as their processes ended before: {lost}."
        raise DataError(what, "The same command goes on from there.")
