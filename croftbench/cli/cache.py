"""`croftbench cache`: what is kept: features, outputs of runs, descriptions of methods and encoders."""

from __future__ import annotations

from typing import Annotated

import typer

from croftbench.api import disk
from croftbench.cli.console import out
from croftbench.cli.help import epilog, group
from croftbench.cli.options import Cache

app = group("Cached features and outputs: list, size, prune.")


@app.command("list", epilog=epilog("croftbench cache list"))
def list_entries(cache: Cache = None) -> None:
    """List the entries: kind, bytes, days since last use, name."""
    for one in disk.cached(cache=cache).entries:
        out.print(f"{one.kind:10} {one.size:>12,}  {one.age:6.1f} d  {one.path.name}", markup=False)


@app.command(epilog=epilog("croftbench cache size"))
def size(cache: Cache = None) -> None:
    """Print the total size."""
    contents = disk.cached(cache=cache)
    out.print(f"{contents.size / 1e6:,.1f} MB in {contents.folder}", markup=False)


@app.command(epilog=epilog("croftbench cache prune --older-than 7\ncroftbench cache prune --to 20 --dry-run"))
def prune(
    days: Annotated[
        float | None,
        typer.Option(
            "--older-than", "--days", min=0, help="Remove entries not used for so many days.",
            show_default="30; any age with --to",
        ),
    ] = None,
    to: Annotated[
        float | None, typer.Option("--to", min=0, help="Remove the oldest until so many gigabytes are left.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    cache: Cache = None,
) -> None:  # fmt: skip
    """Remove entries by age or size, and what killed processes left behind; what a running process reads stays."""
    removed = disk.prune_cache(days, to=to, dry_run=dry_run, cache=cache)
    if dry_run:
        for one in removed:
            out.print(f"{one.kind:10} {one.size:>12,}  {one.age:6.1f} d  {one.path.name}", markup=False)
    did = "would remove" if dry_run else "removed"
    out.print(f"{did} {len(removed)} entries, {sum(one.size for one in removed) / 1e6:,.1f} MB", markup=False)
