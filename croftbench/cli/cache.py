"""`croftbench cache`: what is kept: features, outputs of runs, descriptions of methods and encoders."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from croftbench.cli.console import CACHE, Cache, out

app = typer.Typer(help="Cached features and outputs: list, size, prune.")


@app.command("list")
def list_entries(cache: Cache = CACHE) -> None:
    """List the entries: kind, bytes, days since last use, name."""
    for kind, path, size, days in _entries(cache):
        out.print(f"{kind:10} {size:>12,}  {days:6.1f} d  {path.name}", markup=False)


@app.command()
def size(cache: Cache = CACHE) -> None:
    """Print the total size."""
    total = sum(size for _, _, size, _ in _entries(cache))
    out.print(f"{total / 1e6:,.1f} MB in {cache}", markup=False)


@app.command()
def prune(
    days: Annotated[float, typer.Option(min=0, help="Remove entries not used for so many days.")] = 30,
    cache: Cache = CACHE,
) -> None:
    """Remove old entries and what killed processes left behind; nothing else is touched."""
    removed = freed = 0
    for kind, path, size, age in _entries(cache):
        if age >= days or (kind == "unfinished" and age > 1):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            removed, freed = removed + 1, freed + size
    out.print(f"removed {removed} entries, {freed / 1e6:,.1f} MB", markup=False)


def _entries(cache: Path) -> Iterator[tuple[str, Path, int, float]]:
    """(kind, path, bytes, days since last use) of everything the cache holds."""
    kinds = ("features", "methods", "encoders", "outputs")
    for path in sorted(path for kind in kinds for path in cache.glob(f"{kind}/*")):
        files = list(path.rglob("*")) if path.is_dir() else [path]
        stats = [file.stat() for file in files] or [path.stat()]
        unfinished = path.suffix in (".partial", ".tmp")
        kind = "unfinished" if unfinished else path.parent.name
        last = max(max(s.st_atime, s.st_mtime) for s in stats)
        yield kind, path, sum(s.st_size for s in stats), (time.time() - last) / 86400
