"""`croftbench check`: every manifest against its rules, and shipped images against their manifests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from croftbench import draw, plugins, scorers
from croftbench.cli.console import CACHE, Cache, complain, out
from croftbench.data.roots import Roots
from croftbench.draw import shares
from croftbench.errors import CroftbenchError, ManifestError, UsageError
from croftbench.suites import manifest, registry, suite_rules
from croftbench.suites.toml import NEXT, at, fault, manifest_path


def check(
    manifests: Annotated[Path | None, typer.Option(help="Another folder of manifests.", show_default=False)] = None,
    cache: Cache = CACHE,
) -> None:
    """Check every manifest; no data are needed. Suites on images that ship are drawn, too."""
    roots, faults = Roots(manifests=manifests), 0
    for name in manifest.names("splits", manifests):
        faults += _reported(partial(_family, name, roots))
    for name in manifest.names("suites", manifests):
        faults += _reported(partial(_suite, name, roots, cache))
    if faults:
        raise CroftbenchError(f"{faults} manifest(s) break a rule.", "")


def _reported(step: Callable[[], str]) -> int:
    """Run one check, say what is wrong, and count it."""
    try:
        out.print(step(), markup=False)
    except CroftbenchError as error:
        complain(error.message, error.hint)
        return 1
    return 0


def _family(name: str, roots: Roots) -> str:
    family = registry.family(name, roots.manifests)
    parts = f"{len(family.parts)} part{'s' if len(family.parts) > 1 else ''}"
    if not family.shipped:
        return f"ok  dataset {name}: {parts}, {len(family.ids)} classes, {len(family.layouts)} layouts"
    for part in family.parts:
        located = roots.split(family.split_id(part.name))
        if not located.verdict.usable:
            raise fault(
                manifest_path("splits", name, roots.manifests), f"it holds {located.verdict.message}", part.name
            )
    return f"ok  dataset {name}: {parts} as they ship, digest {family.content[:12]}"


def _suite(name: str, roots: Roots, cache: Path) -> str:
    suite = manifest.suite(name, roots.manifests)
    path = manifest_path("suites", name, roots.manifests)
    for method, recipe in suite.recipes.items():
        try:
            plugins.describe(method, cache).resolve(recipe)
        except UsageError as error:
            raise _at(error, path, "recipes", method) from error
    for scorer in suite.protocol.scorers:
        try:
            scorers.parse(scorer)
        except UsageError as error:
            raise _at(error, path, "protocol", "scorers") from error
    if suite.shares and suite.shares.list:
        family, _ = registry.split(suite.folds[0].train[0], roots.manifests)
        found = registry.lines_of(registry.shipped_list(suite.shares.list, roots.manifests))
        if found != shares.written(family, suite.shares):
            raise fault(path, f"{suite.shares.list} is not what the recipe gives", "shares", "list")
    about = f"ok  suite {name} v{suite.version}: {len(suite.folds)} fold{'s' if len(suite.folds) > 1 else ''}"
    if suite_rules.shipped(suite, roots.manifests):
        drawn = [fold for seed in suite.protocol.seeds for fold in draw.folds(suite, seed, roots=roots)]
        about += f", {len(drawn)} drawn over all seeds"
    return f"{about}, digest {suite.digest[:12]}"


def _at(error: UsageError, path: Path, *keys: str) -> ManifestError:
    """A name that a manifest gets wrong, with its line."""
    return ManifestError(f"{at(path, *keys)}: {error.message}", f"{error.hint} {NEXT}")
