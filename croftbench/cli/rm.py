"""`croftbench rm`: runs that are no longer wanted."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from croftbench import mirrors
from croftbench.api import disk
from croftbench.cli import options
from croftbench.cli.console import note, out
from croftbench.cli.help import epilog
from croftbench.errors import UsageError

EXAMPLES = """
croftbench rm Mine
croftbench rm 1f6a22 --yes
croftbench rm Mine --suite emoji-open
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("names", nargs=-1, required=True, help="Methods, or runs by their id or its first digits.")
@click.option("--suite", "-s", help="Of this suite only.", show_default="all")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.results
def rm(
    names: tuple[str, ...],
    suite: str | None,
    yes: bool,
    results: str | None,
) -> None:
    """Move runs into the trash of the results folder; tables are as they were until `leaderboard` rebuilds them."""
    files = disk.find_runs(names, suite=suite, results=results)
    runs = sorted({"/".join((*path.parts[-3:-1], Path(path.name).stem[:12])) for path in files})
    for run in runs:
        out.print(run, markup=False)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{len(runs)} run(s) would be moved into the trash.", "Say --yes.")
        click.confirm(f"Move {len(runs)} run(s) into the trash?", abort=True)
    note(f"Moved {len(runs)} run(s) to {mirrors.named(disk.remove_runs(files, results=results))}.")
