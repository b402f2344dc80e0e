"""Scores of finished runs beyond those of their suite: nothing is trained for them, as long as outputs are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import claims, leases
from croftbench.errors import CroftbenchError, DamagedError, DataError, MethodError
from croftbench.files import discard, sweep
from croftbench.runs import environment, failures, outputs, posthoc, predict, results, streaming
from croftbench.runs.isolation import one_run
from croftbench.runs.per_image import SplitTable
from croftbench.runs.planning import Job
from croftbench.runs.posthoc import Scored
from croftbench.runs.results import RunResult
from croftbench.scorers import Asked

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

Failed = Callable[[Asked, MethodError], None]
"""Is told of a score that a user wrote and that failed, and why."""


def score_all(
    bench: Workbench,
    jobs: Sequence[tuple[Job, Sequence[Asked]]],
    folder: Path,
    failed: Callable[[Job, CroftbenchError], None],
) -> None:
    """Score every finished run by what is asked of it, writing each record as soon as it is there.

    A run that cannot be scored is recorded as that, handed to `failed`, and the others go on. So is a run of which a
    score that a user wrote failed; its other scores are there. Processes that share the folder share the work, as in
    `engine.run_all`.
    """
    begun = {job.spec.run_id: claims.stamp(posthoc.path_of(folder, job.spec)) for job, _ in jobs}
    places = itertools.count(1)

    def claim(item: tuple[Job, Sequence[Asked]]) -> Path:
        return folder / leases.FOLDER / f"{item[0].spec.run_id}-scores{leases.SUFFIX}"

    def settled(item: tuple[Job, Sequence[Asked]]) -> bool:
        job, asked = item
        if claims.stamp(posthoc.path_of(folder, job.spec)) == begun[job.spec.run_id]:
            return False
        return not posthoc.read(folder, job.spec).missing(asked, ())

    def do(item: tuple[Job, Sequence[Asked]]) -> None:
        bench.progress.begin(f"run {next(places)} of {len(jobs)}")
        bench.progress.stage("scoring", 1)
        score_one(bench, *item, folder, failed)

    claims.share(jobs, claim, settled, do, option="--results")
    bench.progress.begin("")


def score_one(
    bench: Workbench, job: Job, asked: Sequence[Asked], folder: Path, failed: Callable[[Job, CroftbenchError], None]
) -> None:
    """Score one finished run, and write its record; or why it cannot be, which `failed` is handed."""
    broken: list[MethodError] = []
    try:
        with one_run(job.spec.seed, None if bench.limits.isolate else bench.limits):
            result = results.read(results.path_of(folder, job.spec))
            scored, env = score(bench, result, job, asked, _into(broken))
            record = posthoc.read(folder, job.spec).with_more(scored, env)
    except CroftbenchError as error:
        failures.write(folder, job.spec, error, "score")
        failed(job, error)
    else:
        sweep(posthoc.path_of(folder, job.spec))
        posthoc.write(folder, record)
        failures.remove(folder, job.spec, "score")
        for one in broken:
            failures.write(folder, job.spec, one, "score")
            failed(job, one)


def _into(errors: list[MethodError]) -> Failed:
    return lambda _, error: errors.append(error)


def score(
    bench: Workbench, result: RunResult, job: Job, asked: Sequence[Asked], failed: Failed
) -> tuple[list[Scored], Mapping[str, Any]]:
    """One run's scores, and the environment they were computed in; one of a user's that fails is handed to `failed`.

    From the outputs that the run left in the cache; where they are gone, or do not give the run's accuracies, the
    method is fitted again.

    Raises:
        CroftbenchError: data, method or training are at fault, or outputs cannot be kept.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    broken: dict[str, tuple[Asked, MethodError]] = {}

    def note(one: Asked, error: MethodError) -> None:
        broken[one.label] = one, error  # of the last time that outputs were scored

    source, rescored = "kept", from_kept(bench, result, job, asked, note)
    if rescored is None or not rescored.agrees:
        bench.run(job.spec, job.info, bank=True)
        broken.clear()
        source, rescored = "fitted again", from_kept(bench, result, job, asked, note)
    if rescored is None:
        raise DataError(f"cannot keep outputs in {bench.cache}.", "Free some space, or choose another --cache.")
    for one, error in broken.values():
        failed(one, error)
    world = environment.describe(bench.device) | {"created": created, "outputs": source, "agrees": rescored.agrees}
    return rescored.scored, world


@dataclass(frozen=True)
class Rescored:
    """Scores of kept outputs.

    Attributes:
        scored: their numbers, the method's own scores among them.
        tables: their value for each image; a score of a stream has none.
        agrees: whether the outputs give the run's accuracies.
    """

    scored: list[Scored]
    tables: list[SplitTable]
    agrees: bool


def from_kept(
    bench: Workbench, result: RunResult, job: Job, asked: Sequence[Asked], failed: Failed | None, bank: bool = True
) -> Rescored | None:
    """Scores from the outputs that a run left in the cache; None where there are none, or, with `bank`, none of the
    training images that are on this disk.
    """
    fold, kept = bench.fold_of(job.spec, job.info, bank=bank), outputs.find(bench.cache, job.spec.run_id)
    parts = [(outputs.TRAIN, fold.score_bank), *((str(i), split) for i, (_, split) in enumerate(fold.tests))]
    if kept is None or any(kept.images(part) != len(split) for part, split in parts):
        return None
    try:
        context = bench.score_context(fold, lambda: predict.joined(kept.read(outputs.TRAIN, bench.device)))
        how = bench.suite.protocol.id_filter, bench.suite.official
        streams = [one for one in asked if one.spec.stream]
        alone = [one for one in asked if not one.spec.stream]
        scored, tables = predict.score(kept, fold.tests, context, alone, *how, failed)
        scored += streaming.score(kept, tables, context, streams, job.spec.seed, *how)
    except DamagedError as error:
        discard(kept.folder, error.reason)
        return None
    before = {(s.split, s.shift): s.value for s in result.scores if s.metric == "accuracy" and s.shift != "named"}
    again = {(t.name, t.shift): float(t.correct.mean()) for t in tables if t.shift != "semantic"}
    return Rescored(scored, tables, before == again)
