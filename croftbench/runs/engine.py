"""Where runs execute: one after the other, in this process or, with `Limits.isolate`, each in its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from croftbench.errors import CroftbenchError, DataError
from croftbench.runs import failures, per_image, posthoc, results
from croftbench.runs.planning import Job
from croftbench.runs.results import RunResult
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench


def run_all(
    bench: Workbench, jobs: Sequence[Job], folder: Path, failed: Callable[[Job, CroftbenchError], None],
    force: bool = False,
) -> int:  # fmt: skip
    """Run every job that has no result yet, or every one by `force`, writing each result as soon as it is there.

    A job that fails is recorded as that, handed to `failed`, and the others go on; a result that cannot be written
    ends it all.

    Returns:
        How many results were written.
    """
    done, progress = 0, bench.progress
    for place, job in enumerate(jobs, 1):
        if job.finished(folder) and not force:
            continue
        progress.begin(f"run {place} of {len(jobs)}" if len(jobs) > 1 else "")
        try:
            result, images = bench.run(job.spec, job.info)
        except CroftbenchError as error:
            failed(job, error)  # first: what is recorded can fail too
            failures.write(folder, job.spec, error)
            continue
        _remove(results.path_of(folder, job.spec))  # first: without a JSON it is not finished
        _remove(posthoc.path_of(folder, job.spec))  # scores of what is replaced
        per_image.write(folder, job.spec, images)
        results.write(folder, result)  # last: a run with a JSON is finished
        failures.remove(folder, job.spec)
        done += 1
        progress.note(finished(result, bench.suite, place, len(jobs)))
    progress.begin("")
    return done


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
    try:
        old.unlink()
    except OSError as error:
        raise DataError(f"cannot replace {old}: {error.strerror}.", "Choose another folder with --results.") from error
