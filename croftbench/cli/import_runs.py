"""`croftbench import`: runs that others made, checked and added."""

from __future__ import annotations

from pathlib import Path

import click

from croftbench import mirrors
from croftbench.api import sharing
from croftbench.cli import options
from croftbench.cli.console import note, put
from croftbench.cli.help import epilog
from croftbench.locations import Folders
from croftbench.runs import results as run_files

EXAMPLES = """
croftbench import mine.zip
"""


@click.command("import", epilog=epilog(EXAMPLES))
@click.argument("file", type=options.PATH, help="A zip file that `croftbench export` wrote.")
@options.results
def import_runs(
    file: Path,
    results: str | None,
) -> None:
    """Check a bundle's runs, compute their numbers again, and add them, marked as imported; all or none."""
    done = sharing.import_runs(file, results=results)
    folder = Folders.of(results).results
    for spec in done.new:
        put(mirrors.named(run_files.path_of(folder, spec)))
    present = f" {len(done.present)} were there already, with the same numbers." if done.present else ""
    note(f"{len(done.new)} run(s) imported, every number computed again.{present}")
    if done.new:
        note("`croftbench leaderboard` puts them in the tables.")
