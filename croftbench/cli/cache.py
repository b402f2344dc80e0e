"""`croftbench cache`: what is kept: features, outputs of runs, descriptions of methods and encoders."""

from __future__ import annotations

import click

from croftbench.api import disk
from croftbench.cli import options
from croftbench.cli.console import out
from croftbench.cli.help import Group, epilog


@click.group(cls=Group)
def app() -> None:
    """Cached features and outputs: list, size, prune."""


@app.command("list", epilog=epilog("croftbench cache list"))
@options.cache
def list_entries(cache: str | None) -> None:
    """List the entries: kind, bytes, days since last use, name."""
    for one in disk.cached(cache=cache).entries:
        out.print(f"{one.kind:10} {one.size:>12,}  {one.age:6.1f} d  {one.path.name}", markup=False)


@app.command(epilog=epilog("croftbench cache size"))
@options.cache
def size(cache: str | None) -> None:
    """Print the total size."""
    contents = disk.cached(cache=cache)
    out.print(f"{contents.size / 1e6:,.1f} MB in {contents.folder}", markup=False)


@app.command(epilog=epilog("croftbench cache prune --older-than 7\ncroftbench cache prune --to 20 --dry-run"))
@click.option(
    "--older-than",
    "--days",
    "days",
    type=options.AMOUNT,
    help="Remove entries not used for so many days.",
    show_default="30; any age with --to",
)
@click.option("--to", type=options.AMOUNT, help="Remove the oldest until so many gigabytes are left.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@options.cache
def prune(days: float | None, to: float | None, dry_run: bool, cache: str | None) -> None:
    """Remove entries by age or size, and what killed processes left behind; what a running process reads stays."""
    removed = disk.prune_cache(days, to=to, dry_run=dry_run, cache=cache)
    if dry_run:
        for one in removed:
            out.print(f"{one.kind:10} {one.size:>12,}  {one.age:6.1f} d  {one.path.name}", markup=False)
    did = "would remove" if dry_run else "removed"
    out.print(f"{did} {len(removed)} entries, {sum(one.size for one in removed) / 1e6:,.1f} MB", markup=False)
