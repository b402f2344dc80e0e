"""`croftbench plot`: one picture of a suite's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.cli.console import RESULTS, Results, note
from croftbench.errors import UsageError
from croftbench.suites import manifest


def plot(
    kind: Annotated[str, typer.Argument(help="energy, roc, pareto, shots or calibration.")],
    suite: Annotated[str, typer.Option(help="Name, or path/to/suite.toml.")] = "emoji-open",
    method: Annotated[str, typer.Option(help="Names separated by commas; all with runs by default.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File ending in .png or .svg.")] = None,
    results: Results = RESULTS,
) -> None:
    """Draw a picture of a suite's runs: score densities, ROC, accuracy against detection, shots, calibration."""
    from croftbench.report import entries, plots, style

    chosen = manifest.suite(suite)
    path = output or Path(f"{chosen.name}-{kind}.svg")
    if path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"a picture cannot be written as '{path.name}'.", "End its name in .png or .svg.")
    board, found = entries.collect(results, chosen)
    wanted = entries.choose(found, [name.strip() for name in method.split(",") if name.strip()])
    picture = plots.draw(kind, board, wanted)
    style.save(picture, path)
    typer.echo(path)
    note(picture.caption)
