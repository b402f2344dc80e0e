"""`croftbench show`: one run, whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from croftbench.api import reading
from croftbench.cli.console import out
from croftbench.cli.options import Json, Results

EXAMPLES = """
croftbench show 1f6a
croftbench show 1f6a --json
"""


def show(
    run_id: Annotated[str, typer.Argument(help="A run's identifier, or its first digits.")],
    as_json: Json = False,
    results: Results = None,
) -> None:
    """Show a run: what was asked, its numbers, and the world that it ran in."""
    run = reading.load_run(run_id, results=results)
    if as_json:
        typer.echo(json.dumps(asdict(run), indent=1, ensure_ascii=False))
        return
    spec = run.spec
    out.print(f"{spec.run_id}  {spec.method} on {spec.suite}, fold {spec.fold}, seed {spec.seed}", style="bold")
    for title, values in (("spec", asdict(spec)), ("environment", run.env), ("seconds", run.timings)):
        out.print(f"{title}: " + ", ".join(f"{k}={v}" for k, v in values.items()), markup=False)
    table = Table(
        "split", "shift", "metric", "scorer", "positives", "value", "95% interval", "n(ID)", "n(OOD)", box=None
    )
    for s in run.scores:
        interval = f"{100 * s.low:.2f} to {100 * s.high:.2f}"
        row = (s.split, s.shift, s.metric, s.scorer, s.reference, f"{100 * s.value:.2f}", interval, s.n_id, s.n_ood)
        table.add_row(*map(str, row))
    out.print(table)
