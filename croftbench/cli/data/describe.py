"""`croftbench data describe`: what a split or a suite is made of, its licences, and how to cite it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from croftbench.api import inventory
from croftbench.cli import options
from croftbench.cli.console import out, put, put_json
from croftbench.cli.data.verify import print_places
from croftbench.cli.help import epilog
from croftbench.data.description import FamilyDescription, SuiteDescription, images
from croftbench.suites.families import Family, Part
from croftbench.suites.language import Suite

SHOWN = 12
"""Classes that are named; --json names all."""


@click.command(epilog=epilog("croftbench data describe setup1"))
@click.argument("name", help="A split, a family of splits, or a suite.")
@options.as_json
@options.manifests
def describe(
    name: str,
    as_json: bool,
    manifests: Path | None,
) -> None:
    """Describe a split or a suite: roles, classes, numbers, protocol, licence, citation."""
    described = inventory.describe(name, manifests=manifests)
    if as_json:
        put_json(described.to_dict())
    elif isinstance(described, SuiteDescription):
        _suite(described)
    else:
        _family(described)


# ------------------------------------------------------------------------------------------ a family


def _family(described: FamilyDescription) -> None:
    family, parts = described.family, described.parts
    out.print(f"[bold]{escape(family.name)}[/]: {escape(family.title)}")
    table = Table("split", "images", "classes", "per class", "", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for part in parts:
        cells = (family.split_id(part.name), _number(images(part)), str(len(part.members) or "-"), _spread(part))
        notes = [f"or {v.images:,}: {v.note}" for v in part.variants] + [part.note] * bool(part.note)
        table.add_row(*map(escape, (*cells, "; ".join(notes))))
    out.print(table)
    if family.classnames:
        names = family.classnames if len(family.classnames) <= SHOWN else (*family.classnames[:SHOWN], "...")
        out.print(f"classes: {', '.join(names)}", markup=False)
    out.print(f"source: {family.source}", markup=False)
    out.print(f"licence: {family.licence}", markup=False)
    if family.homepage:
        out.print(f"homepage: {family.homepage}", markup=False)
    if not family.shipped:
        print_places(family, None)
        out.print(f"get: {_how(family)}", markup=False)
    if family.unverified:
        out.print(f"unverified: {', '.join(family.unverified)}", markup=False)
    _cite([family])


def _how(family: Family) -> str:
    get = family.get
    match get.via:
        case "huggingface":
            return f"`croftbench data get {family.name}`, from the hub's {get.repo}"
        case "torchvision":
            return f"`croftbench data get {family.name}`, by torchvision's {get.dataset}"
        case "address":
            return f"`croftbench data get {family.name}`, from {', '.join(get.urls)}"
        case _:
            return f"by hand: {get.say or family.homepage}"


def _number(images: int) -> str:
    return f"{images:,}" if images else "?"


def _spread(part: Part) -> str:
    if not part.counts:
        return ""
    low, high = min(part.counts), max(part.counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


# ------------------------------------------------------------------------------------------- a suite


def _suite(described: SuiteDescription) -> None:
    suite, families = described.suite, described.families
    out.print(f"[bold]{escape(suite.name)}[/] v{suite.version}: {escape(suite.title)}")
    table = Table("fold", "role", "splits", "images", box=None, pad_edge=False)
    table.columns[2].overflow = "fold"
    table.columns[3].justify = "right"
    for fold, role, splits, what in described.roles():
        count = _number(sum(map(described.images, splits)))
        table.add_row(*map(escape, (fold, role, ", ".join(splits) or what, count)))
    out.print(table)
    for title, value in _protocol(suite):
        out.print(f"{title}: {value}", markup=False)
    for line in described.namesakes:
        out.print(f"namesakes: {line}", markup=False)
    if suite.notes:
        out.print(f"notes: {suite.notes.strip()}", markup=False)
    for family in families.values():
        out.print(f"licence of {family.name}: {family.licence}", markup=False)
    for family in families.values():
        if family.unverified:
            out.print(f"unverified in {family.name}: {', '.join(family.unverified)}", markup=False)
    _cite([*families.values()])


def _protocol(suite: Suite) -> Iterable[tuple[str, str]]:
    """Every setting that is not empty, as the manifest calls it."""
    tables: dict[str, Any] = {
        "classes": suite.classes,
        "protocol": suite.protocol,
        "val": suite.val,
        "shares": suite.shares,
    }
    for title, table in (tables | {"reference": suite.reference}).items():
        if table is None:
            continue
        settings = {key: value for key, value in asdict(table).items() if value not in ((), {}, "", None)}
        yield title, ", ".join(f"{key} = {_text(value)}" for key, value in settings.items())
    yield "prompts", " | ".join(suite.templates)
    limits = [(s.name, s.limit, s.per_class, s.exclude) for s in suite.semantic]
    for name, limit, per_class, exclude in limits:
        bounds = [f"at most {limit:,} images"] * bool(limit) + [f"at most {per_class} a class"] * bool(per_class)
        bounds += [f"without {', '.join(exclude)}"] * bool(exclude)
        if bounds:
            yield f"semantic {name}", ", ".join(bounds)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, float) and value > 1:
        return f"{value:g}"
    return f"({len(value)} names)" if isinstance(value, dict) else str(value)


# ---------------------------------------------------------------------------------------- citations


def _cite(families: Sequence[Family]) -> None:
    """Print the citations as they are, ready to copy; those that several families share once."""
    seen = Counter(family.citation for family in families)
    out.print("\ncite:" if seen else "")
    for citation in seen:
        put(citation.strip())
