"""`croftbench report`: tables, pictures and run cards as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.cli.console import RESULTS, Results, note
from croftbench.errors import UsageError
from croftbench.suites import manifest


def report(
    suites: Annotated[list[str] | None, typer.Argument(help="All suites with runs by default.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for index.html.")] = Path("site"),
    results: Results = RESULTS,
) -> None:
    """Write one self-contained HTML page: sortable tables, intervals, pictures, run cards."""
    chosen = suites or [name for name in manifest.names("suites") if (results / "runs" / name).is_dir()]
    if not chosen:
        raise UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
    from croftbench.report import page

    path = page.write(results, [manifest.suite(name) for name in chosen], output)
    typer.echo(path)
    note(f"{len(chosen)} suite(s), {path.stat().st_size / 1e6:.1f} MB; open it in any browser, it needs no network.")
