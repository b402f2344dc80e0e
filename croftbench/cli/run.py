"""`croftbench run`: evaluate methods on a suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from croftbench import encoders, plugins, scorers
from croftbench.cli.console import CACHE, RESULTS, Bars, Cache, DataRoot, Results, complain, note, out, parse_seeds
from croftbench.data import status
from croftbench.data.roots import Roots
from croftbench.errors import CroftbenchError, UsageError
from croftbench.runs import outputs, planning, posthoc
from croftbench.runs.planning import Job
from croftbench.scorers import Asked
from croftbench.suites import manifest
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.encoders.identity import Identity


def run(
    method: Annotated[str, typer.Option(help="Names separated by commas, 'all', or path/to/file.py:Class.")],
    suite: Annotated[str, typer.Option(help="Names separated by commas, 'all' with data, or a .toml.")] = "emoji-open",
    encoder: Annotated[str, typer.Option(help="Any open_clip arch/tag, or arch@path/to/weights.")] = encoders.EMBEDDED,
    seeds: Annotated[str, typer.Option(help="Separated by commas; the suite's own by default.")] = "",
    shots: Annotated[int | None, typer.Option(min=1, help="Training images per class.", show_default="suite's")] = None,
    views: Annotated[int | None, typer.Option(min=1, help="Cached training views.", show_default="suite's")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="[method.]hyper-parameter=value.")] = None,
    scores: Annotated[
        str, typer.Option("--scorers", help="More scores of finished runs: 'all', or as in energy:T=0.5,knn:k=10.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    data_root: DataRoot = None,
    allow_incomplete: Annotated[bool, typer.Option(help="Take splits that lack images; runs record it.")] = False,
    results: Results = RESULTS,
    cache: Cache = CACHE,
) -> None:
    """Train and evaluate methods; finished runs are found and not repeated."""
    roots = Roots(data_root)
    suites = _runnable(roots) if suite.strip() == "all" else [manifest.suite(name) for name in _names(suite, [])]
    infos = [plugins.describe(name, cache) for name in _names(method, list(plugins.BUILT_IN))]
    chosen = planning.overrides(settings or [], infos)
    asked = scorers.split(scores) if scores else []
    for one in asked:
        _ = one.files  # a word list that cannot be read is an error now, not after hours
    identity = _identity(encoder, cache)
    failures = 0
    for each in suites:
        jobs = [
            job
            for info in infos
            for job in planning.plan(
                each, info, identity, seeds=parse_seeds(seeds), shots=shots, views=views, overrides=chosen[info.name]
            )
        ]
        failures += _carry_out(
            each, jobs, asked, results, encoder=encoder, cache=cache, device=device, roots=roots,
            allow_incomplete=allow_incomplete,
        )  # fmt: skip
        _show(each, jobs, results, scored=bool(asked))
    if failures:
        raise CroftbenchError(f"{failures} run(s) failed.", "The finished ones are in the table.")


def _carry_out(
    suite: Suite, jobs: list[Job], asked: list[Asked], results: Path, *,
    encoder: str, cache: Path, device: str, roots: Roots, allow_incomplete: bool,
) -> int:  # fmt: skip
    """Run what has no result yet, then score by what is asked; the number of failures."""
    todo = [job for job in jobs if not job.finished(results)]
    todo.sort(key=lambda job: (job.spec.seed, job.spec.fold))  # methods of one draw share its views
    if len(todo) < len(jobs):
        note(f"{suite.name}: {len(jobs) - len(todo)} of {len(jobs)} runs are finished already, in {results}.")
    if not todo and not _unscored(suite, jobs, asked, results):
        return 0
    from croftbench.runs import engine, environment, execute, rescore  # torch, only when there is something to run

    failures: list[Job] = []

    def failed(job: Job, error: CroftbenchError) -> None:
        failures.append(job)
        complain(f"{job.spec.method}, seed {job.spec.seed}, fold {job.spec.fold}: {error.message}", error.hint)

    with Bars() as bars:
        bench = execute.Workbench(
            suite, encoder, cache, environment.device(device), bars, roots, allow_incomplete=allow_incomplete
        )
        engine.run_all(bench, todo, results, failed)
        unscored = _unscored(suite, jobs, asked, results)
        gone = sum(not outputs.kept(cache, job.spec.run_id) for job, _ in unscored)
        if gone:
            note(f"{suite.name}: outputs of {gone} of {len(unscored)} runs to score are not in {cache}: fitting again.")
        rescore.score_all(bench, unscored, results, failed)
    return len(failures)


def _unscored(suite: Suite, jobs: list[Job], asked: list[Asked], results: Path) -> list[tuple[Job, list[Asked]]]:
    """Finished runs that lack a score that is asked for, and which; none where there are no unknown classes."""
    if not asked or not suite.semantic:
        return []
    own = [scorers.parse(name).label for name in suite.protocol.scorers]
    found = []
    for job in (job for job in jobs if job.finished(results)):
        record = posthoc.read(results, job.spec)
        missing = record.missing(asked, own)
        if missing or not record.environments:  # the method's own scores come with the first
            found.append((job, missing))
    return found


def _show(suite: Suite, jobs: list[Job], results: Path, *, scored: bool) -> None:
    """Rebuild the suite's leaderboard files and print the table of the seeds that were asked for."""
    seeds = tuple(dict.fromkeys(job.spec.seed for job in jobs))
    if not any(job.finished(results) for job in jobs):
        return
    from croftbench.report import score_table, tables
    from croftbench.report.formats import render
    from croftbench.report.formats import scores as render_scores

    board = tables.leaderboard(results, suite, seeds)
    out.print(render.to_rich(board))
    if scored and suite.semantic:
        out.print(render_scores.to_rich(score_table.board(results, suite, seeds, [job.spec for job in jobs])))
    note(f"Runs are in {results / 'runs' / suite.name}. {board.note}".rstrip())
    if set(seeds) & set(suite.protocol.seeds):
        note(f"Tables: {', '.join(map(str, render.write_leaderboards(results, suite)))}.")


def _identity(encoder: str, cache: Path) -> Identity:
    """What the encoder is; loads it, once, when the cache does not say."""
    known = encoders.identity(encoder, cache)
    if known is None:
        note(f"loading {encoder} for the first time ...")
        known = encoders.load(encoder, "cpu", cache).identity
    return known


def _runnable(roots: Roots) -> list[Suite]:
    """Every suite whose images are here; the others are named."""
    found = status.suites(roots, status.splits(roots))
    lacking = [one.suite for one in found if one.lacks]
    if lacking:
        note(f"Left out for want of data (see `croftbench data status`): {', '.join(lacking)}.")
    return [manifest.suite(one.suite) for one in found if not one.lacks]


def _names(text: str, everything: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("an empty list of names was given.", "`croftbench list` shows what there is.")
    return everything if names == ["all"] else list(dict.fromkeys(names))
