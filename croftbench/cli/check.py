"""`croftbench check`: manifests against their rules, shipped images against their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench import datasets, manifest, plugins, scorers
from croftbench.cli.console import CACHE, Cache, complain, out
from croftbench.errors import CroftbenchError


def check(
    manifests: Annotated[Path | None, typer.Option(help="Another folder of manifests.", show_default=False)] = None,
    cache: Cache = CACHE,
) -> None:
    """Check every manifest, and that every fold of every suite can be drawn."""
    faults = 0
    for name in manifest.names("splits", manifests):
        faults += _reported(lambda name=name: _table(name, manifests))
    for name in manifest.names("suites", manifests):
        faults += _reported(lambda name=name: _suite(name, manifests, cache))
    if faults:
        raise CroftbenchError(f"{faults} manifest(s) break a rule.", "")


def _reported(step) -> int:  # type: ignore[no-untyped-def]
    """Run one check, say what is wrong, and count it."""
    try:
        out.print(step(), markup=False)
    except CroftbenchError as error:
        complain(error.message, error.hint)
        return 1
    return 0


def _table(name: str, folder: Path | None) -> str:
    table = manifest.table(name, folder)
    rows = datasets.rows(name)
    counts = {style: sum(row.style == style for row in rows) for style in table.styles}
    if len(rows) != table.images or counts != dict(table.styles):
        raise CroftbenchError(f"{name}.toml: the table holds {len(rows)} images, {counts}.", "Correct the counts.")
    datasets.image_bytes(name)
    return f"ok  table {name}: {len(rows)} images, digest {table.sha256[:12]}"


def _suite(name: str, folder: Path | None, cache: Path) -> str:
    suite = manifest.suite(name, folder)
    for method, recipe in suite.recipes.items():
        plugins.describe(method, cache).resolve(recipe)
    for scorer in suite.protocol.scorers:
        scorers.parse(scorer)
    folds = [fold for seed in suite.protocol.seeds for fold in datasets.folds(suite, seed)]
    return f"ok  suite {name} v{suite.version}: {len(folds)} folds over all seeds, digest {suite.digest[:12]}"
