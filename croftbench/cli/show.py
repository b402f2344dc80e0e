"""`croftbench show`: one run, whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from croftbench.api import reading, reproducing
from croftbench.cli import options
from croftbench.cli.console import note, out, put_json
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError
from croftbench.report.formats.grid import GridColumn, grid
from croftbench.runs.results import RunResult

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
@options.manifests
def show(
    name: str,
    suite: tuple[str, ...],
    as_json: bool,
    results: str | None,
    manifests: Path | None,
) -> None:
    """Show a run: what was asked, its numbers, the world that it ran in, and the command for it. Of a row, its runs."""
    runs = reading.find_runs(name, suites=options.names_of(suite), results=results, manifests=manifests)
    if as_json:
        shown = [asdict(run) for run in runs]
        put_json(shown[0] if len(shown) == 1 else shown)
    elif len(runs) == 1:
        _whole(runs[0])
        try:
            again = reproducing.command_of(runs[0], results=results, manifests=manifests)
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
    columns = [GridColumn(head, [Text(row[i]) for row in rows], right=False) for i, head in enumerate(heads)]
    out.print(Text("\n").join(grid(columns, 2)))
    note(f"One of them, whole: croftbench show {runs[0].spec.run_id}")


def _whole(run: RunResult) -> None:
    spec = run.spec
    out.print(Text(f"{spec.run_id}  {spec.method} on {spec.suite}, fold {spec.fold}, seed {spec.seed}", style="bold"))
    for title, values in (("spec", asdict(spec)), ("environment", run.env), ("seconds", run.timings)):
        out.print(f"{title}: " + ", ".join(f"{k}={v}" for k, v in values.items()), markup=False)
    table = Table(
        "split", "shift", "metric", "scorer", "positives", "value", "95% interval", "n(ID)", "n(OOD)", box=None
    )
    for s in run.scores:
        interval = f"{100 * s.low:.2f} to {100 * s.high:.2f}"
        row = (s.split, s.shift, s.metric, s.scorer, s.reference, f"{100 * s.value:.2f}", interval, s.n_id, s.n_ood)
        table.add_row(*(Text(str(cell)) for cell in row))
    out.print(table)
    if any(s.metric.startswith("aupr") for s in run.scores):
        note(AUPR)
