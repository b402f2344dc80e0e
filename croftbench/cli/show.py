"""`croftbench show`: one run, whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import click
from rich.text import Text

from croftbench.api import reading, reproducing
from croftbench.cli import options
from croftbench.cli.console import note, out, put_json
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError
from croftbench.report.formats.grid import GridCell, GridColumn, grid
from croftbench.runs.results import RunResult, Score

EXAMPLES = """
croftbench show 1f6a
croftbench show 1f6a --json
croftbench show "croft, lambda2=0" -s emoji-open
"""

AUPR = "aupr is average precision with ID positive, aupr_out with OOD positive: no trapezoids (docs/metrics.md)."


@click.command(epilog=epilog(EXAMPLES))
@click.argument("name", help="A run's identifier or its first digits, or a row as tables name it.")
@options.suite_filter
@options.as_json
@options.results
@options.cache
@options.manifests
def show(
    name: str,
    suite: tuple[str, ...],
    as_json: bool,
    results: str | None,
    cache: str | None,
    manifests: Path | None,
) -> None:
    """Show a run: what was asked, its numbers, the world that it ran in, and the command for it. Of a row, its runs."""
    runs = reading.find_runs(name, suites=options.names_of(suite), results=results, cache=cache, manifests=manifests)
    if as_json:
        shown = [asdict(run) for run in runs]
        put_json(shown[0] if len(shown) == 1 else shown)
    elif len(runs) == 1:
        _whole(runs[0])
        try:
            again = reproducing.command_of(runs[0], results=results, cache=cache, manifests=manifests)
        except CroftbenchError as error:  # of a suite that nobody here describes
            note(f"The command for it is not known: {error}")
        else:
            out.print(f"again: {again}", markup=False, soft_wrap=True)
            note(f"Does it come out again? croftbench reproduce {runs[0].spec.run_id}")
    else:
        _several(runs)


def _several(runs: list[RunResult]) -> None:
    """One line a run, with its identifier: `croftbench show` of that shows it whole."""
    rows = [
        [run.spec.run_id, run.spec.suite, run.spec.method, str(run.spec.seed), run.spec.fold, run.created]
        for run in runs
    ]
    heads = ("run", "suite", "method", "seed", "fold", "created")
    columns = [GridColumn(head, [GridCell(row[i]) for row in rows], right=False) for i, head in enumerate(heads)]
    out.print(Text("\n").join(grid(columns, 2)))
    note(f"One of them, whole: croftbench show {runs[0].spec.run_id}")


def _whole(run: RunResult) -> None:
    spec = run.spec
    out.print(Text(f"{spec.run_id}  {spec.method} on {spec.suite}, fold {spec.fold}, seed {spec.seed}", style="bold"))
    for title, values in (("spec", asdict(spec)), ("environment", run.env), ("seconds", run.timings)):
        out.print(f"{title}: " + ", ".join(f"{k}={v}" for k, v in values.items()), markup=False)
    out.print(_numbers(run.scores))
    if any(s.metric.startswith("aupr") for s in run.scores):
        note(AUPR)


def _numbers(scores: Sequence[Score]) -> Text:
    """A line a number, below the images that it is of: whole at 80 characters."""
    rows = [(s.metric, s.scorer, f"{100 * s.value:.2f}", f"{100 * s.low:.2f} to {100 * s.high:.2f}") for s in scores]
    heads = ("metric", "scorer", "value", "95% interval")
    columns = [GridColumn(head, [GridCell(row[i]) for row in rows], right=i > 1) for i, head in enumerate(heads)]
    head, rule, *body = grid(columns, 2)
    lines = [head, rule]
    for images, group in groupby(zip(scores, body, strict=True), key=lambda pair: _images(pair[0])):
        lines += [Text(images, style="bold"), *(line for _, line in group)]
    return Text("\n").join(lines)


def _images(score: Score) -> str:
    """Which images a number is of."""
    split = score.split if score.split == score.shift else f"{score.split} ({score.shift})"
    if not score.reference:
        return f"{split}: {score.n_id:,} images"
    return f"{split}, {score.n_ood:,} images, against {score.reference}, {score.n_id:,}"
