"""What of a plan is left to do: runs without a result, and finished runs that lack a score. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from croftbench import scorers
from croftbench.runs import posthoc
from croftbench.runs.planning import Job
from croftbench.runs.results import RunResult
from croftbench.scorers import Asked
from croftbench.suites.language import Suite


def unfinished(jobs: Sequence[Job], results: Path, force: bool = False) -> list[Job]:
    """Jobs without a result, or all by force, those of one draw together: methods share its views."""
    waiting = [job for job in jobs if force or not job.finished(results)]
    return sorted(waiting, key=lambda job: (job.spec.seed, job.spec.fold))


def by_other_code(jobs: Sequence[Job], runs: Iterable[RunResult]) -> list[Job]:
    """Jobs whose run, among those that were read, was made by other code of its method; older ones don't say."""
    recorded = {run.spec.run_id: run.env.get("code", "") for run in runs}
    return [job for job in jobs if job.info.code and recorded.get(job.spec.run_id) not in (None, "", job.info.code)]


def unscored(suite: Suite, jobs: Sequence[Job], asked: Sequence[Asked], folder: Path) -> list[tuple[Job, list[Asked]]]:
    """Finished runs that lack a score that is asked for, and which; none where there are no unknown classes."""
    if not asked or not suite.semantic:
        return []
    own = [scorers.parse(name).label for name in suite.protocol.scorers]
    lacking = []
    for job in (job for job in jobs if job.finished(folder)):
        record = posthoc.read(folder, job.spec)
        missing = record.missing(asked, own)
        if missing or not record.environments:  # the method's own scores come with the first
            lacking.append((job, missing))
    return lacking
