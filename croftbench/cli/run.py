"""`croftbench run`: evaluate methods on suites."""

from __future__ import annotations

import itertools
import os
import shlex
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from croftbench import mirrors
from croftbench.api import foreseeing, plans, running
from croftbench.api.board import Leaderboard
from croftbench.api.suite_choice import suite_of
from croftbench.cli import options
from croftbench.cli.console import note, out, put, width
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError
from croftbench.locations import Folders
from croftbench.progress import Bars, Errors
from croftbench.runs import failures
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.runs.forecast import Forecast, Foreseen

EXAMPLES = """
croftbench run -m zero-shot,coop,croft
croftbench run -m path/to/mine.py:Mine -s emoji-open --set alpha=3
croftbench run -m all -s setup1 -e ViT-B-16/openai --data-root ~/data
croftbench run -m croft --scorers all --seeds 1,2
croftbench run -m ./mine.py:Mine --limit 20
croftbench run -m all --dry-run
croftbench run -m all --shard 1/8
croftbench run -m all --launcher ray
croftbench run -m all --launcher slurm --launch gpus_per_node=1
"""


@click.command(epilog=epilog(EXAMPLES))
@options.methods
@options.suites
@options.encoders
@options.preprocess
@options.seeds
@options.shots
@options.views
@options.recipe
@options.settings
@options.scores
@options.device
@options.allow_incomplete
@options.timeout
@options.isolate
@options.force
@options.limit
@options.shard
@options.launcher
@options.address
@options.workers
@options.launch
@options.dry_run
@options.quiet
@options.config
@options.show_config
@options.results
@options.cache
@options.data_root
@options.manifests
@click.pass_context
def run(
    context: click.Context,
    method: str,
    suite: str,
    encoder: str,
    preprocess: str,
    seeds: str,
    shots: int | None,
    views: int | None,
    recipe: str | None,
    settings: tuple[str, ...],
    scores: str,
    device: str,
    allow_incomplete: bool,
    timeout: float | None,
    isolate: bool,
    force: bool,
    limit: int | None,
    shard: str,
    launcher: str,
    address: str,
    workers: int | None,
    launch: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    config: Path | None,
    show_config: bool,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Train and evaluate methods; finished runs are found and not repeated."""
    if show_config:
        put(options.config_of(context))
        return
    folders = Folders.of(results, cache, data_root, manifests)
    names, drawn, failed = options.names_of(suite), options.seeds_of(seeds), 0
    suites = _runnable(folders) if names == ["all"] else [suite_of(name, folders) for name in names]
    there = replace(folders, results=folders.results / plans.SMOKE) if limit else folders
    flags = _flags(there, drawn)
    named = zip(names if names != ["all"] else [one.name for one in suites], suites, strict=True)
    for (name, each), model in itertools.product(named, options.names_of(encoder)):
        asked: dict[str, Any] = {
            "encoder": model, "preprocess": preprocess, "seeds": drawn, "shots": shots, "views": views,
            "recipe": recipe, "settings": settings, "allow_incomplete": allow_incomplete, "limit": limit,
            "shard": shard, "results": results, "cache": cache, "data_root": data_root, "manifests": manifests,
        }  # fmt: skip
        with nullcontext(Errors()) if quiet else Bars() as bars:
            if dry_run:
                _foresee(foreseeing.forecast(options.names_of(method), each, progress=bars, **asked), each)
                continue
            try:
                board = running.run(
                    options.names_of(method), each, scores=scores, device=device, timeout=timeout, isolate=isolate,
                    force=force, launcher=launcher, address=address, workers=workers, launch=launch,
                    progress=bars, **asked,
                )  # fmt: skip
            except running.FailedRunsError as error:
                failed += len(error.failures)
                if error.leaderboard is None:
                    continue
                board = error.leaderboard
        _show(board, there, f"{name} {flags}".strip(), quiet)
    if failed:
        why = mirrors.named(there.results / failures.FOLDER)
        raise CroftbenchError(f"{failed} run(s) failed.", f"Why is in {why}.")


def _foresee(forecast: Forecast, suite: Suite) -> None:
    """Print what a run would do."""
    for run in forecast.runs:
        spec, state = run.job.spec, "finished" if run.finished else "to do"
        why = f", failed: {run.failed}" if run.failed and not run.finished else ""
        line = f"{run.run_id}  {suite.name}  {spec.method}, seed {spec.seed}, fold {spec.fold}: {state}{why}"
        out.print(line, markup=False)
    todo = [run for run in forecast.runs if not run.finished]
    lines = [f"{len(todo)} of {len(forecast.runs)} runs to do, {forecast.images:,} images to encode."]
    if todo:
        rate = f" ({forecast.rate.told})" if forecast.rate else ": this encoder has encoded nothing here yet"
        encoding = f" Encoding: {_time(forecast.encoding)}{rate}; texts not counted." if forecast.images else ""
        lines += [f"runs, one after the other: {_time(forecast.seconds)}.{encoding}", *_sources(todo)]
        lines += [f"memory {forecast.space.memory.told}.", f"disk {forecast.space.told}."]
    for line in lines:
        out.print(f"{suite.name}: {line}", markup=False)


def _sources(todo: list[Foreseen]) -> list[str]:
    """For each method and kind of source: how many runs, how long they take, and what that is from."""
    by: dict[tuple[str, str], list[float | None]] = {}
    for run in todo:
        by.setdefault((run.job.spec.method, run.cost.how), []).append(run.cost.seconds)
    return [
        f"  {method}, {len(each)} run{'s' if len(each) > 1 else ''}: "
        f"{_time(None if None in each else sum(one or 0.0 for one in each))}, {how}."
        for (method, how), each in by.items()
    ]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "time unknown"
    if seconds >= 5400:
        return f"about {seconds / 3600:,.1f} h"
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


def _show(leaderboard: Leaderboard, folders: Folders, rest: str, quiet: bool) -> None:
    """Print the rows that were asked for, and rebuild the suite's files, but for a smoke run."""
    from croftbench.report.formats import scores, terminal

    board, focus, written = leaderboard.board, leaderboard.focus, list[Path]()
    others = len(board.table) - len(focus.table)
    more = f"And {others} other{'s' if others > 1 else ''}: `croftbench leaderboard {rest}`" if others else ""
    out.print(terminal.to_text(focus, width(), more=more))
    if leaderboard.by_score is not None:
        out.print(scores.to_text(leaderboard.by_score, width()))
    if set(board.seeds) & set(board.suite.protocol.seeds) and not board.suite.limit:
        written = leaderboard.write_tables()
    if not quiet:
        note(f"Runs are in {mirrors.named(folders.results / 'runs' / board.suite.name)}. {board.note}".rstrip())
        if written:
            note(f"Tables: {', '.join(map(mirrors.named, written))}.")


def _flags(folders: Folders, seeds: list[int] | None) -> str:
    """What `croftbench leaderboard` must be told to find the runs that this command made."""
    usual, own, said = Folders.of(), folders.manifests.own, []
    if folders.results != usual.results:
        said += ["--results", mirrors.named(folders.results)]
    if own and own != usual.manifests.own:
        said += ["--manifests", os.pathsep.join(map(str, own))]
    words = ["--seeds", ",".join(map(str, seeds))] if seeds else []
    return shlex.join([*words, *said])


def _runnable(folders: Folders) -> list[Suite]:
    """Every suite whose images are here; the others are named."""
    from croftbench.data import status

    able = status.suites(folders.roots, status.splits(folders.roots))
    lacking = [one.suite for one in able if one.lacks]
    if lacking:
        note(f"Left out for want of data (see `croftbench data status`): {', '.join(lacking)}.")
    return [suite_of(one.suite, folders) for one in able if not one.lacks]
