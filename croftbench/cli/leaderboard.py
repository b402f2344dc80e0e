"""`croftbench leaderboard`: tables derived from the runs on disk."""

from __future__ import annotations

from typing import Annotated

import typer

from croftbench import manifest
from croftbench.cli.console import RESULTS, Results, note, out
from croftbench.errors import CroftbenchError, UsageError


def leaderboard(
    suites: Annotated[list[str] | None, typer.Argument(help="All suites with runs by default.")] = None,
    check: Annotated[bool, typer.Option(help="Fail if the files differ from what the runs derive.")] = False,
    results: Results = RESULTS,
) -> None:
    """Rebuild and print the leaderboards."""
    from croftbench.report import render, tables

    chosen = suites or [name for name in manifest.names("suites") if (results / "runs" / name).is_dir()]
    if not chosen:
        raise UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
    stale = []
    for suite in map(manifest.suite, chosen):
        if check:
            stale += render.stale_leaderboards(results, suite)
            continue
        board = tables.leaderboard(results, suite)
        out.print(render.to_rich(board))
        paths = render.write_leaderboards(results, suite)
        note(f"Tables: {', '.join(map(str, paths))}. {board.note}".rstrip())
    if stale:
        files = ", ".join(map(str, stale))
        raise CroftbenchError(f"{files} differ from what the runs derive.", "`croftbench leaderboard` rebuilds them.")
