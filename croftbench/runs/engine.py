"""Where runs execute: one after the other, in this process or, with `Limits.isolate`, each in its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from croftbench import claims, leases, mirrors
from croftbench.errors import CroftbenchError, DataError
from croftbench.files import sweep
from croftbench.runs import failures, per_image, posthoc, results
from croftbench.runs.planning import Job
from croftbench.runs.results import RunResult
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench


Stamps = tuple[tuple[int, int] | None, tuple[int, int] | None]
"""Of a run's result, and of the record of its failure."""


def run_all(
    bench: Workbench, jobs: Sequence[Job], folder: Path, failed: Callable[[Job, CroftbenchError], None],
    force: bool = False, begun: Mapping[str, Stamps] | None = None,
) -> int:  # fmt: skip
    """Run every job that has no result yet, or every one by `force`, writing each result as soon as it is there.

    A job that fails is recorded as that, handed to `failed`, and the others go on; a result that cannot be written
    ends it all. Processes that share the folder share the work: what another is at is left to it and waited for at the
    end. If that process dies, the job is done here; if the job fails there, that is said here. `begun` is what was
    there when all of them began, as `stamps` gave it; what is there now where it is None.

    Returns:
        How many results were written.
    """
    old = dict(begun or stamps(jobs, folder))
    elsewhere: list[Job] = []
    done, progress = 0, bench.progress
    places = itertools.count(1)

    def settled(job: Job) -> bool:
        if not force:  # on another machine it may be finished by now
            _fetched(job, folder)
        (replaced, before), (result, failure) = old[job.spec.run_id], _stamps(job, folder)
        if result is None or (force and result == replaced):
            if failure in (None, before):
                return False
            elsewhere.append(job)
        next(places)
        return True

    def do(job: Job) -> None:
        nonlocal done
        place = next(places)
        progress.begin(f"run {place} of {len(jobs)}" if len(jobs) > 1 else "")
        outcome = run_one(bench, job, folder, force)
        old[job.spec.run_id] = _stamps(job, folder)
        if isinstance(outcome, CroftbenchError):
            failed(job, outcome)
            return
        done += 1
        progress.note(finished(outcome, bench.suite, place, len(jobs)))

    def waiting(count: int, who: str) -> None:
        progress.note(f"waiting for {count} run(s) that others are at, one of them {who}.")

    claims.share(jobs, partial(claim, folder), settled, do, waiting, "--results")
    for job in elsewhere:
        failed(job, CroftbenchError(failures.reason(folder, job.spec), "It failed in another process."))
    progress.begin("")
    return done


def claim(folder: Path, job: Job) -> Path:
    """Where the lease of a run is while it is fitted."""
    return folder / leases.FOLDER / f"{job.spec.run_id}{leases.SUFFIX}"


def run_one(bench: Workbench, job: Job, folder: Path, force: bool = False) -> RunResult | CroftbenchError:
    """The smallest piece of work, whoever does it: one run and its files, or why it failed, which is recorded.

    Raises:
        DataError: its files cannot be written.
    """
    try:
        result, images = bench.run(job.spec, job.info)
    except CroftbenchError as error:
        failures.write(folder, job.spec, error)
        return error
    path = results.path_of(folder, job.spec)
    sweep(path, per_image.path_of(folder, job.spec), failures.path_of(folder, job.spec))
    if force:
        _remove(path)  # first: without a JSON it is not finished
    elif claims.there(path) or _fetched(job, folder):  # we were asleep, and another process took over
        return results.read(path)
    _remove(posthoc.path_of(folder, job.spec))  # scores of what is replaced
    per_image.write(folder, job.spec, images)
    results.write(folder, result)  # last: a run with a JSON is finished
    failures.remove(folder, job.spec)
    return result


def _fetched(job: Job, folder: Path) -> bool:
    """Whether a run is finished, if need be by another machine: both of its files are here then."""
    return mirrors.fetch(per_image.path_of(folder, job.spec), results.path_of(folder, job.spec))


def stamps(jobs: Sequence[Job], folder: Path) -> dict[str, Stamps]:
    """By run, what tells another result, or record of failure, from that which is there now."""
    return {job.spec.run_id: _stamps(job, folder) for job in jobs}


def _stamps(job: Job, folder: Path) -> Stamps:
    """Of a run's result and of the record of its failure: another process's work changes them."""
    return claims.stamp(results.path_of(folder, job.spec)), claims.stamp(failures.path_of(folder, job.spec))


def finished(result: RunResult, suite: Suite, place: int, jobs: int) -> str:
    """A line on a finished run: which it is, its headline in percent, and its seconds."""
    spec, headline = result.spec, suite.protocol.headline
    known = {score.split for score in result.scores if score.shift == "id"}
    parts = {
        "ID": [s.value for s in result.scores if s.metric == "accuracy" and s.shift == "id"],
        "covariate": [s.value for s in result.scores if s.metric == "accuracy" and s.shift == "covariate"],
        "AUROC": [
            s.value for s in result.scores if (s.metric, s.scorer) == ("auroc", headline) and s.reference in known
        ],
    }
    numbers = ", ".join(f"{name} {100 * fmean(values):.1f}" for name, values in parts.items() if values)
    fold = f", fold {spec.fold}" if len(suite.folds) > 1 else ""
    seconds = sum(result.timings.values())
    return f"run {place} of {jobs}: {spec.method}, seed {spec.seed}{fold}: {numbers} ({seconds:,.1f} s)"


def _remove(old: Path) -> None:
    """Remove what a forced run replaces, if it is there."""
    if not old.is_file():
        return
    mirrors.remove(old)
    try:
        old.unlink()
    except OSError as error:
        raise DataError(f"cannot replace {old}: {error.strerror}.", "Choose another folder with --results.") from error
