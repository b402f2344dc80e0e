"""`croftbench show`: one run, whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from croftbench.cli.console import RESULTS, Results, out
from croftbench.errors import UsageError
from croftbench.runs import results as runs


def show(
    run_id: Annotated[str, typer.Argument(help="A run's identifier, or its first digits.")],
    as_json: Annotated[bool, typer.Option("--json", help="The file as it is.")] = False,
    results: Results = RESULTS,
) -> None:
    """Show a run: what was asked, what came out, and the world it ran in."""
    found = sorted((results / "runs").glob(f"*/*/{run_id}*.json"))
    if len(found) != 1:
        what = "several runs begin" if found else "no run begins"
        raise UsageError(
            f"{what} with '{run_id}' in {results / 'runs'}.", "`croftbench leaderboard` shows what is there."
        )
    result = runs.read(found[0])
    if as_json:
        typer.echo(json.dumps(asdict(result), indent=1, ensure_ascii=False))
        return
    spec = result.spec
    out.print(f"{spec.run_id}  {spec.method} on {spec.suite}, fold {spec.fold}, seed {spec.seed}", style="bold")
    for title, values in (("spec", asdict(spec)), ("environment", result.env), ("seconds", result.timings)):
        out.print(f"{title}: " + ", ".join(f"{k}={v}" for k, v in values.items()), markup=False)
    table = Table(
        "split", "shift", "metric", "scorer", "positives", "value", "95% interval", "n(ID)", "n(OOD)", box=None
    )
    for s in result.scores:
        interval = f"{100 * s.low:.2f} to {100 * s.high:.2f}"
        row = (s.split, s.shift, s.metric, s.scorer, s.reference, f"{100 * s.value:.2f}", interval, s.n_id, s.n_ood)
        table.add_row(*map(str, row))
    out.print(table)
