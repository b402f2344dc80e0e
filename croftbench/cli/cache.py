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


@app.command(epilog=epilog("croftbench cache prune --days 7"))
def prune(
    days: Annotated[float, typer.Option("--days", min=0, help="Remove entries not used for so many days.")] = 30,
    cache: Cache = None,
) -> None:
    """Remove old entries and what killed processes left behind; nothing else is touched."""
    removed = disk.prune_cache(days, cache=cache)
    out.print(f"removed {len(removed)} entries, {sum(one.size for one in removed) / 1e6:,.1f} MB", markup=False)
