"""Scores of finished runs beyond those of their suite: nothing is trained for them, as long as outputs are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench.errors import CroftbenchError, DataError
from croftbench.runs import environment, outputs, posthoc, predict, results
from croftbench.runs.planning import Job
from croftbench.runs.posthoc import Scored
from croftbench.runs.results import RunResult
from croftbench.scorers import Asked

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench


def here(
    bench: Workbench,
    jobs: Sequence[tuple[Job, Sequence[Asked]]],
    folder: Path,
    failed: Callable[[Job, CroftbenchError], None],
) -> None:
    """Score every finished run by what is asked of it, writing each record as soon as it is there.

    A run that cannot be scored is handed to `failed` and the others go on.
    """
    bench.progress.stage("scoring", len(jobs))
    for job, asked in jobs:
        try:
            result = results.read(results.path_of(folder, job.spec))
            found, world = score(bench, result, job, asked)
            posthoc.write(folder, posthoc.read(folder, job.spec).with_more(found, world))
        except CroftbenchError as error:
            failed(job, error)
        bench.progress.advance()


def score(
    bench: Workbench, result: RunResult, job: Job, asked: Sequence[Asked]
) -> tuple[list[Scored], Mapping[str, Any]]:
    """One run's scores, and the world they were computed in.

    From the outputs that the run left in the cache; where they are gone, or do not give the run's accuracies, the
    method is fitted again.

    Raises:
        CroftbenchError: data, method or training are at fault, or outputs cannot be kept.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    how, found = "kept", _scored(bench, result, job, asked)
    if found is None or not found[1]:
        bench.run(job.spec, job.info, bank=True)
        how, found = "fitted again", _scored(bench, result, job, asked)
    if found is None:
        raise DataError(f"cannot keep outputs in {bench.cache}.", "Free some space, or choose another --cache.")
    world = environment.describe(bench.device) | {"created": created, "outputs": how, "agrees": found[1]}
    return found[0], world


def _scored(bench: Workbench, result: RunResult, job: Job, asked: Sequence[Asked]) -> tuple[list[Scored], bool] | None:
    """Scores from kept outputs, and whether these give the run's accuracies; None where there are none."""
    fold, kept = bench.draw(job.spec, job.info, bank=True), outputs.find(bench.cache, job.spec.run_id)
    tested = fold.tests
    parts = [(outputs.TRAIN, fold.bank or fold.train), *((str(i), split) for i, (_, split) in enumerate(tested))]
    if kept is None or any(kept.images(part) != len(split) for part, split in parts):
        return None
    try:
        known = bench.known(fold, lambda: predict.joined(kept.read(outputs.TRAIN, bench.device)))
        found, tables = predict.score(kept, tested, known, asked, bench.suite.protocol.id_filter)
    except outputs.DamagedError:
        return None
    own = {(s.split, s.shift): s.value for s in result.scores if s.metric == "accuracy" and s.shift != "named"}
    again = {(t.name, t.shift): float(t.correct.mean()) for t in tables if t.shift != "semantic"}
    return found, own == again
