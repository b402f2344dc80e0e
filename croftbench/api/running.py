"""Runs: methods on a suite, and predictions that somebody made elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import mirrors, plugins, scorers
from croftbench.api import plans
from croftbench.api.board import Leaderboard
from croftbench.api.suite_choice import keep
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError, DataError, MethodError, UsageError
from croftbench.launch import HERE, Launcher, parts
from croftbench.locations import Folder, Folders
from croftbench.plugins.parameters import Value
from croftbench.progress import Bars, Progress, Silent
from croftbench.runs import outputs, pending
from croftbench.runs.planning import Job
from croftbench.scorers import Asked
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.method import Method
    from croftbench.runs.execute import Workbench

    MethodLike = str | type[Method] | Method
    """A name, "file.py:Class", a class, or an object whose values become recorded hyper-parameters."""

ScoreLike = Any
"""A score's name, "file.py:Class", a class of your own, or an object whose values become recorded parameters."""


class FailedRunsError(CroftbenchError):
    """Some runs failed; the others are finished.

    Attributes:
        failures: each failed job with its error.
        leaderboard: the table of the finished ones, None where there is none.
    """

    def __init__(
        self, failures: Sequence[tuple[Job, CroftbenchError]], leaderboard: Leaderboard | None, where: Path
    ) -> None:
        job, error = failures[0]
        first = f"{job.spec.method}, seed {job.spec.seed}, fold {job.spec.fold}: {error.message}"
        super().__init__(
            f"{len(failures)} run(s) failed, first {first}",
            f"Why is in {mirrors.named(where / 'failed')}; the finished ones are beside.",
        )
        self.failures = tuple(failures)
        self.leaderboard = leaderboard


def run(
    methods: MethodLike | Iterable[MethodLike],
    suite: str | Path | Suite = "emoji-open",
    *,
    encoder: str = EMBEDDED,
    seeds: Sequence[int] | None = None,
    shots: int | None = None,
    views: int | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Value] | Sequence[str] = (),
    scores: ScoreLike | Sequence[ScoreLike] = (),
    device: str = "auto",
    preprocess: str | Path = "",
    allow_incomplete: bool = False,
    timeout: float | None = None,
    isolate: bool = False,
    force: bool = False,
    limit: int | None = None,
    shard: str = "",
    launcher: str = HERE,
    address: str = "local",
    workers: int | None = None,
    launch: Sequence[str] = (),
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Leaderboard:
    """Train and evaluate methods on a suite; finished runs are found and not repeated.

    Whatever a method raises, changes or prints stays in its run: the others go on, and `FailedRunsError` is raised at
    the end, with the table of those that are finished in its `leaderboard`.

    Args:
        methods: names, "file.py:Class", classes, and objects: `MyMethod(alpha=3)` runs with its own values, which are
            recorded, and which no suite's recipe changes; its source is fingerprinted.
        suite: a name, a ".toml" file, or a suite.
        encoder: `arch/tag` of open_clip, `arch@path/to/weights`, `hf-hub:owner/name`, or the one that ships.
        seeds, shots, views: the suite's own where None.
        recipe: a named recipe of the methods, "authors" or "croft-comparison"; the suite's own where None. Each method
            must have it.
        settings: hyper-parameters for every method that has them: {"lambda2": 0.1}, or "croft.lambda2=0.1" for one.
        scores: more detection scores for the finished runs: names, "all", "file.py:Class", classes and objects of your
            own (see `croftbench.scorers.own_scores`), whose source is fingerprinted.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        preprocess: a JSON or TOML file of mean, std, interpolation, resize_mode and size, or the published `arch/tag`
            that has them; what open_clip publishes for the encoder, or stands beside its weights, where empty.
        allow_incomplete: take splits that lack images; runs record it.
        timeout: seconds that a method's own code may take in a run; any number where None.
        isolate: each run in a process of its own, which may crash or run out of memory alone.
        limit: a smoke run of so many images a split, to see that something runs: kept in `results`/smoke, never
            ranked, and in no committed table.
        force: run again what is finished; the new result takes the old one's place.
        shard: run only this part of the plan, "1/8" to "8/8", or "auto", the one that torchrun, MPI or Slurm say.
        launcher: where the runs execute: "here", "ray", "slurm" or "local-slurm". See docs/scale-out.md.
        address: of the Ray cluster: "local" to start one here, "auto" for the one that this machine is in.
        workers: jobs of Slurm, or encoders on Ray without GPUs.
        launch: "name=value" for the launcher: parameters of submitit, or Ray's "cpus" and "gpus" of a fit.
        results, cache, data_root, manifests: folders, see `croftbench.api`.
        progress: True for bars on stderr, None for bars where stderr is a terminal, or where to show it.

    Returns:
        The suite's leaderboard over these seeds: every configuration with runs there, not only these methods.

    Raises:
        UsageError: a name, a setting or a device that does not exist.
        FailedRunsError: at the end, where a run failed; the others are finished, and why it did is in
            `results`/failed, until it succeeds.
    """
    where, which = Launcher.of(launcher, address, workers, launch), parts.parse(shard)
    folders = Folders.of(results, cache, data_root, manifests)
    chosen, folders = plans.smoke(suite, limit, folders)
    with shown(progress) as sink:
        options = encoder, str(preprocess), seeds, shots, views, recipe, settings
        plan = plans.plan(methods, chosen, folders, sink, *options)
        asked = asked_of(scores)
        for one in asked:
            one.file_digests()  # a word list that cannot be read is an error now, not after hours
        make = partial(
            workbench, plan.suite, encoder, folders, device, sink, allow_incomplete, str(preprocess), timeout, isolate
        )
        ours = replace(plan, jobs=parts.part(plan.jobs, which))
        failures = _complete(ours, asked, folders, sink, make, force, where)
        _check_still_there(ours, failures, folders.results)
        mirrors.pull(folders.results)  # what other machines finished meanwhile; and nothing of ours is only here
        mirrors.push(folders.cache)
        board = _board(plan, asked, folders)
        if board is not None:
            keep(plan.suite, folders)
        if board and (others := pending.by_other_code(plan.jobs, board.runs)):
            names, n = ", ".join(sorted({job.spec.method for job in others})), len(others)
            sink.note(
                f"WARNING: {plan.suite.name}: {n} finished run(s) of {names} were made by other code of the method "
                "than this version's; --force runs them again."
            )
    if failures:
        raise FailedRunsError(failures, board, folders.results)
    if board is None:  # a part of nothing, before the others are done
        raise UsageError(f"shard {shard} of {len(plan.jobs)} runs has none.", "Ask for fewer parts.")
    return board


def asked_of(scores: ScoreLike | Sequence[ScoreLike]) -> list[Asked]:
    """The scores that are meant, each once.

    Raises:
        UsageError: an unknown name, or a class that is no score.
    """
    from croftbench.plugins.in_memory import source_of

    each = scores if isinstance(scores, list | tuple) else [scores] if scores else []
    read = [
        scorers.split(one)
        if isinstance(one, str)
        else [scorers.handed_over(one, source_of(one if isinstance(one, type) else type(one)))]
        for one in each
    ]
    return list({one.label: one for many in read for one in many}.values())


def shown(progress: bool | Progress | None) -> AbstractContextManager[Progress]:
    """Where progress goes, as a context."""
    if progress is None:
        progress = sys.stderr.isatty()
    if isinstance(progress, bool):
        return Bars() if progress else nullcontext(Silent())
    return nullcontext(progress)


# ------------------------------------------------------------------------------------------- executing


def workbench(
    suite: Suite,
    encoder: str,
    folders: Folders,
    device: str,
    progress: Progress,
    allow_incomplete: bool = False,
    preprocess: str = "",
    timeout: float | None = None,
    isolate: bool = False,
) -> Workbench:
    """Where runs of a suite with an encoder are made; imports torch.

    Raises:
        UsageError: a timeout of no time.
    """
    from croftbench.runs import environment, execute, isolation

    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout must be above 0, not {timeout:g}.", "It is in seconds; left out, there is none.")
    return execute.Workbench(
        suite, encoder, folders.cache, environment.device(device), progress, folders.behind(suite).roots,
        allow_incomplete=allow_incomplete, preprocess=preprocess, limits=isolation.Limits(timeout, isolate),
    )  # fmt: skip


def _complete(
    plan: plans.Plan, asked: Sequence[Asked], folders: Folders, progress: Progress, make: Callable[[], Workbench],
    force: bool = False, where: Launcher = Launcher(),  # noqa: B008  nothing can change it
) -> list[tuple[Job, CroftbenchError]]:  # fmt: skip
    """Run what has no result yet, or all by force, then score by what is asked; the jobs that failed."""
    suite, jobs, results, cache = plan.suite, plan.jobs, folders.results, folders.cache
    todo = pending.unfinished(jobs, results, force)
    if len(todo) < len(jobs):
        place = mirrors.named(results)
        progress.note(f"{suite.name}: {len(jobs) - len(todo)} of {len(jobs)} runs are finished already, in {place}.")
    if not todo and not pending.unscored(suite, jobs, asked, results):
        return []
    from croftbench.runs import preflight, rescore, space  # torch, only when there is something to run

    for job in todo:
        with suppress(MethodError):  # of a class that breaks; that is its run's failure
            plugins.build(job.info, job.spec.params)  # values that a method refuses are an error now, not one a run
    failures: list[tuple[Job, CroftbenchError]] = []

    def failed(job: Job, error: CroftbenchError) -> None:
        failures.append((job, error))
        progress.complain(f"{job.spec.method}, seed {job.spec.seed}, fold {job.spec.fold}: {error.message}", error.hint)

    preflight.folders(results, cache)
    bench = make()  # with torch, which nothing needs that is finished
    todo = preflight.ready(bench, todo, lambda *failure: failures.append(failure), progress.complain)
    if lacking_room := space.check(space.of(bench, todo), results, cache):
        progress.note(lacking_room)
    where.run_all(bench, todo, results, failed, force)
    lacking = pending.unscored(suite, jobs, asked, results)
    gone = sum(not outputs.kept(cache, job.spec.run_id) for job, _ in lacking)
    if gone:
        progress.note(
            f"{suite.name}: outputs of {gone} of {len(lacking)} runs to score are not in {cache}: fitting again."
        )
    if lacking:
        rescore.score_all(bench, lacking, results, failed)
    return failures


def _check_still_there(plan: plans.Plan, failures: Sequence[tuple[Job, CroftbenchError]], results: Path) -> None:
    """Every job that did not fail is finished, unless somebody removed it."""
    failed = {job.spec.run_id for job, _ in failures}
    lost = [job for job in plan.jobs if job.spec.run_id not in failed and not job.finished(results)]
    if lost:
        raise DataError(
            f"{len(lost)} of {len(plan.jobs)} runs were finished and are no longer in {results}: it was removed or "
            f"replaced meanwhile.",
            "See what became of it; the same command runs them again.",
        )


def _board(plan: plans.Plan, asked: Sequence[Asked], folders: Folders) -> Leaderboard | None:
    """The leaderboard of the plan's seeds; None where no job is finished."""
    if not any(job.finished(folders.results) for job in plan.jobs):
        return None
    from croftbench.report import score_table, tables

    board, specs = tables.leaderboard(folders.results, plan.suite, plan.seeds, folders.cache), plan.specs
    by_score = score_table.board(board, only=specs) if asked and plan.suite.semantic else None
    return Leaderboard(board, by_score, specs)
