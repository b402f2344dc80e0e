"""Where runs execute. So far: in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.errors import CroftbenchError
from croftbench.runs import per_image, results
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench


def run_all(bench: Workbench, jobs: Sequence[Job], folder: Path, failed: Callable[[Job, CroftbenchError], None]) -> int:
    """Run every job that has no result yet, writing each result as soon as it is there.

    A job that fails is handed to `failed` and the others go on; a result that cannot be written ends it all.

    Returns:
        How many results were written.
    """
    done = 0
    for job in jobs:
        if job.finished(folder):
            continue
        try:
            result, images = bench.run(job.spec, job.info)
        except CroftbenchError as error:
            failed(job, error)
            continue
        per_image.write(folder, job.spec, images)
        results.write(folder, result)  # last: a run with a JSON is finished
        done += 1
    return done
