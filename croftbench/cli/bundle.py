"""`croftbench export` and `croftbench import`: runs to share and merge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.cli.console import RESULTS, Results, note
from croftbench.errors import UsageError, unknown
from croftbench.runs import results as runs


def export(
    out: Annotated[Path, typer.Argument(help="The zip file to write.")],
    suite: Annotated[list[str] | None, typer.Option(help="Only runs of this suite; repeatable.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only runs of this method; repeatable.")] = None,
    results: Results = RESULTS,
) -> None:
    """Write runs, with what they said of every image, to one file that others can check and merge."""
    from croftbench.runs import bundle

    found = list(runs.read_all(results))
    if not found:
        raise UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
    for kind, asked, known in (
        ("suite", suite, {run.spec.suite for run in found}),
        ("method", method, {run.spec.method for run in found}),
    ):
        for name in asked or []:
            if name not in known:
                raise unknown(f"{kind} with runs here", name, known)
    chosen = [run for run in found if run.spec.suite in (suite or [run.spec.suite])]
    chosen = [run for run in chosen if run.spec.method in (method or [run.spec.method])]
    written = bundle.export(results, chosen, out)
    typer.echo(out)
    note(f"{len(written)} run(s), {out.stat().st_size / 1e6:.2f} MB.")


def import_bundle(
    file: Annotated[Path, typer.Argument(help="A zip file that `croftbench export` wrote.")],
    results: Results = RESULTS,
) -> None:
    """Check a bundle's runs, compute their numbers again, and add them, marked as imported; all or none."""
    from croftbench.runs import bundle

    done = bundle.import_runs(results, file)
    for spec in done.new:
        typer.echo(runs.path_of(results, spec))
    known = f" {len(done.present)} were there already, with the same numbers." if done.present else ""
    note(f"{len(done.new)} run(s) imported, every number computed again.{known}")
    if done.new:
        note("`croftbench leaderboard` puts them in the tables.")
