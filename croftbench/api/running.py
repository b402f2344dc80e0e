"""Runs: methods on a suite, and predictions that somebody made elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from croftbench import plugins, scorers
from croftbench.api.board import Leaderboard
from croftbench.api.reading import keep, suite_of
from croftbench.draw.draws import Draws
from croftbench.encoders.identity import EMBEDDED, Identity
from croftbench.errors import CroftbenchError, UsageError
from croftbench.locations import Folder, Folders
from croftbench.plugins.parameters import Value
from croftbench.progress import Bars, Progress, Silent
from croftbench.runs import outputs, pending, planning
from croftbench.runs.planning import Job
from croftbench.scorers import Asked
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.method import Method
    from croftbench.runs.execute import Workbench

    MethodLike = str | type[Method] | Method
    """A name, "file.py:Class", a class, or an object whose values become recorded hyper-parameters."""


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
        super().__init__(f"{len(failures)} run(s) failed, first {first}", f"The finished ones are in {where}.")
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
    scores: str | Sequence[str] = (),
    device: str = "auto",
    preprocess: str | Path = "",
    allow_incomplete: bool = False,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Leaderboard:
    """Train and evaluate methods on a suite; finished runs are found and not repeated.

    Args:
        methods: names, "file.py:Class", classes, and objects: `MyMethod(alpha=3)` runs with its own values, which are
            recorded, and which no suite's recipe changes; its source is fingerprinted.
        suite: a name, a ".toml" file, or a suite.
        encoder: `arch/tag` of open_clip, `arch@path/to/weights`, `hf-hub:owner/name`, or the one that ships.
        seeds, shots, views: the suite's own where None.
        recipe: a named recipe of the methods, "authors" or "croft-comparison"; the suite's own where None. Each method
            must have it.
        settings: hyper-parameters for every method that has them: {"lambda2": 0.1}, or "croft.lambda2=0.1" for one.
        scores: more detection scores for the finished runs: names, or "all".
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        preprocess: a JSON or TOML file of mean, std, interpolation, resize_mode and size, or the published `arch/tag`
            that has them; what open_clip publishes for the encoder, or stands beside its weights, where empty.
        allow_incomplete: take splits that lack images; runs record it.
        results, cache, data_root, manifests: folders, see `croftbench.api`.
        progress: True for bars on stderr, None for bars where stderr is a terminal, or where to show it.

    Returns:
        The suite's leaderboard over these seeds: every configuration with runs there, not only these methods.

    Raises:
        UsageError: a name, a setting or a device that does not exist.
        FailedRunsError: a run failed; the others are finished.
    """
    folders = Folders.of(results, cache, data_root, manifests)
    suite = suite_of(suite, folders)
    folders = folders.behind(suite)
    with shown(progress) as sink:
        plan = _plan(methods, suite, folders, sink, encoder, str(preprocess), seeds, shots, views, recipe, settings)
        asked = scorers.split(scores if isinstance(scores, str) else ",".join(scores)) if scores else []
        for one in asked:
            one.file_digests()  # a word list that cannot be read is an error now, not after hours
        keep(suite, folders)
        make = partial(workbench, plan.suite, encoder, folders, device, sink, allow_incomplete, str(preprocess))
        failures = _complete(plan, asked, folders, sink, make)
    board = _board(plan, asked, folders.results)
    if failures:
        raise FailedRunsError(failures, board, folders.results)
    assert board is not None  # every job is finished
    return board


def shown(progress: bool | Progress | None) -> AbstractContextManager[Progress]:
    """Where progress goes, as a context."""
    if progress is None:
        progress = sys.stderr.isatty()
    if isinstance(progress, bool):
        return Bars() if progress else nullcontext(Silent())
    return nullcontext(progress)


def as_settings(settings: Mapping[str, Value] | Sequence[str]) -> list[str]:
    """Hyper-parameters as the command line writes them."""
    return [f"{name}={value}" for name, value in settings.items()] if isinstance(settings, Mapping) else list(settings)


def identity_of(encoder: str, cache: Path, progress: Progress, preprocess: str = "") -> Identity:
    """What the encoder is; loads it, once, when the cache does not say. What was chosen for it is noted."""
    from croftbench import encoders

    recorded = encoders.identity(encoder, cache, preprocess)
    if recorded is None:
        progress.note(f"loading {encoder} for the first time ...")
        recorded = encoders.load(encoder, "cpu", cache, preprocess).identity
    if recorded.told:
        progress.note(recorded.told)
    return recorded


# ------------------------------------------------------------------------------------------- planning


@dataclass(frozen=True)
class Plan:
    """The runs that a call asks for."""

    suite: Suite
    jobs: tuple[Job, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Each once, in order."""
        return tuple(dict.fromkeys(job.spec.seed for job in self.jobs))


def _plan(
    methods: MethodLike | Iterable[MethodLike], suite: Suite, folders: Folders, progress: Progress,
    encoder: str, preprocess: str, seeds: Sequence[int] | None, shots: int | None, views: int | None,
    recipe: str | None,
    settings: Mapping[str, Value] | Sequence[str],
) -> Plan:  # fmt: skip
    infos = [plugins.describe(method, folders.cache) for method in _each(methods)]
    if not infos:
        raise UsageError("no method was given.", "`croftbench list methods` shows what there is.")
    overrides = planning.overrides(as_settings(settings), infos)
    identity = identity_of(encoder, folders.cache, progress, preprocess)
    draws = Draws(suite, folders.roots)
    jobs = [
        job
        for info in infos
        for job in planning.plan(
            suite,
            info,
            identity,
            draws.content,
            seeds=seeds,
            shots=shots,
            views=views,
            recipe=recipe,
            overrides=overrides[info.name],
        )
    ]
    return Plan(suite, tuple({job.spec.run_id: job for job in jobs}.values()))


def _each(methods: MethodLike | Iterable[MethodLike]) -> list[MethodLike]:
    if isinstance(methods, str):
        names = [name.strip() for name in methods.split(",") if name.strip()]
        return list(plugins.BUILT_IN) if names == ["all"] else list(dict.fromkeys(names))
    if isinstance(methods, type) or hasattr(methods, "fit"):
        return [cast("MethodLike", methods)]
    return [one for given in methods for one in (_each(given) if isinstance(given, str) else [given])]


# ------------------------------------------------------------------------------------------- executing


def workbench(
    suite: Suite,
    encoder: str,
    folders: Folders,
    device: str,
    progress: Progress,
    allow_incomplete: bool = False,
    preprocess: str = "",
) -> Workbench:
    """Where runs of a suite with an encoder are carried out; imports torch."""
    from croftbench.runs import environment, execute

    return execute.Workbench(
        suite, encoder, folders.cache, environment.device(device), progress, folders.behind(suite).roots,
        allow_incomplete=allow_incomplete, preprocess=preprocess,
    )  # fmt: skip


def _complete(
    plan: Plan, asked: Sequence[Asked], folders: Folders, progress: Progress, make: Callable[[], Workbench]
) -> list[tuple[Job, CroftbenchError]]:
    """Run what has no result yet, then score by what is asked; the jobs that failed."""
    suite, jobs, results, cache = plan.suite, plan.jobs, folders.results, folders.cache
    todo = pending.unfinished(jobs, results)
    if len(todo) < len(jobs):
        progress.note(f"{suite.name}: {len(jobs) - len(todo)} of {len(jobs)} runs are finished already, in {results}.")
    if not todo and not pending.unscored(suite, jobs, asked, results):
        return []
    from croftbench.runs import engine, rescore  # torch, only when there is something to run

    for job in todo:
        plugins.build(job.info, job.spec.params)  # values that a method refuses are an error now, not one a run
    failures: list[tuple[Job, CroftbenchError]] = []

    def failed(job: Job, error: CroftbenchError) -> None:
        failures.append((job, error))
        progress.complain(f"{job.spec.method}, seed {job.spec.seed}, fold {job.spec.fold}: {error.message}", error.hint)

    bench = make()  # with torch, which nothing needs that is finished
    engine.run_all(bench, todo, results, failed)
    lacking = pending.unscored(suite, jobs, asked, results)
    gone = sum(not outputs.kept(cache, job.spec.run_id) for job, _ in lacking)
    if gone:
        progress.note(
            f"{suite.name}: outputs of {gone} of {len(lacking)} runs to score are not in {cache}: fitting again."
        )
    if lacking:
        rescore.score_all(bench, lacking, results, failed)
    return failures


def _board(plan: Plan, asked: Sequence[Asked], results: Path) -> Leaderboard | None:
    """The leaderboard of the plan's seeds; None where no job is finished."""
    if not any(job.finished(results) for job in plan.jobs):
        return None
    from croftbench.report import score_table, tables

    board = tables.leaderboard(results, plan.suite, plan.seeds)
    if not (asked and plan.suite.semantic):
        return Leaderboard(board)
    return Leaderboard(board, score_table.board(board, only=[job.spec for job in plan.jobs]))
