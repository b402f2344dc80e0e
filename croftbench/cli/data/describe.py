"""`croftbench data describe`: what a split or a suite is made of, its licences, and how to cite it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from croftbench.cli.console import Manifests, out
from croftbench.cli.data.verify import parts_of, print_places
from croftbench.data.status import needed
from croftbench.errors import unknown
from croftbench.suites import manifest, registry
from croftbench.suites.families import Family, Part
from croftbench.suites.language import Suite
from croftbench.suites.toml import names

SHOWN = 12
"""Classes that are named; --json names all."""


def describe(
    name: Annotated[str, typer.Argument(help="A split, a family of splits, or a suite.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    manifests: Manifests = None,
) -> None:
    """Describe a split or a suite: roles, classes, numbers, protocol, licence, citation."""
    suites, families = names("suites", manifests), names("splits", manifests)
    if name in suites or name.endswith(".toml"):
        suite = manifest.suite(name, manifests)
        used = _families(suite, manifests)
        if as_json:
            typer.echo(json.dumps(_suite_json(suite, used), indent=1, ensure_ascii=False))
        else:
            _suite(suite, used)
        return
    if "/" not in name and name not in families:
        raise unknown("split or suite", name, [*suites, *families])
    family, parts = parts_of(name, manifests)
    if as_json:
        typer.echo(json.dumps(_family_json(family, parts), indent=1, ensure_ascii=False))
    else:
        _family(family, parts)


# ------------------------------------------------------------------------------------------ a family


def _family(family: Family, parts: Sequence[Part]) -> None:
    out.print(f"[bold]{escape(family.name)}[/]: {escape(family.title)}")
    table = Table("split", "images", "classes", "per class", "", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[2].justify = "right"
    for part in parts:
        cells = (family.split_id(part.name), _number(_images(part)), str(len(part.members) or "-"), _spread(part))
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


def _images(part: Part) -> int:
    return part.images or sum(part.counts)


def _number(images: int) -> str:
    return f"{images:,}" if images else "?"


def _spread(part: Part) -> str:
    if not part.counts:
        return ""
    low, high = min(part.counts), max(part.counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _family_json(family: Family, parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "name": family.name,
        "title": family.title,
        "splits": [
            {
                "split": family.split_id(part.name),
                "images": _images(part),
                "classes": [family.ids[i] for i in part.members],
                "classnames": [family.classnames[i] for i in part.members],
                "per_class": list(part.counts),
                "variants": [asdict(variant) for variant in part.variants],
                "note": part.note,
            }
            for part in parts
        ],
        "source": family.source,
        "licence": family.licence,
        "homepage": family.homepage,
        "layouts": [layout.name for layout in family.layouts],
        "get": {key: value for key, value in asdict(family.get).items() if value},
        "unverified": list(family.unverified),
        "citation": family.citation,
    }


# ------------------------------------------------------------------------------------------- a suite


def _suite(suite: Suite, families: Mapping[str, Family]) -> None:
    out.print(f"[bold]{escape(suite.name)}[/] v{suite.version}: {escape(suite.title)}")
    table = Table("fold", "role", "splits", "images", box=None, pad_edge=False)
    table.columns[2].overflow = "fold"
    table.columns[3].justify = "right"
    for fold, role, splits, what in _roles(suite):
        images = sum(_expected(split, families) for split in splits)
        table.add_row(*map(escape, (fold, role, ", ".join(splits) or what, _number(images))))
    out.print(table)
    for title, value in _protocol(suite):
        out.print(f"{title}: {value}", markup=False)
    if suite.notes:
        out.print(f"notes: {suite.notes.strip()}", markup=False)
    for family in families.values():
        out.print(f"licence of {family.name}: {family.licence}", markup=False)
    for family in families.values():
        if family.unverified:
            out.print(f"unverified in {family.name}: {', '.join(family.unverified)}", markup=False)
    _cite([*families.values()])


def _roles(suite: Suite) -> Iterable[tuple[str, str, tuple[str, ...], str]]:
    """(fold, role, split ids, what it is where it is no whole split) of every fold; the last of all folds."""
    for fold in suite.folds:
        yield fold.name, "train", fold.train, ""
        if fold.val:
            yield fold.name, "val", fold.val, ""
        yield fold.name, "id", fold.id, ""
        for name, shifted in fold.shifted().items():
            yield fold.name, f"covariate: {name}", shifted.splits, ""
    for spec in suite.semantic:
        what = ", ".join(spec.groups) or "images of the unknown classes"
        yield "every" if len(suite.folds) > 1 else suite.folds[0].name, f"semantic: {spec.name}", spec.splits, what


def _expected(split: str, families: Mapping[str, Family]) -> int:
    """Published number of images of a split."""
    name, _, part = split.partition("/")
    return _images(families[name].part(part) if part else families[name].parts[0])


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


def _families(suite: Suite, manifests: Path | None) -> dict[str, Family]:
    used = dict.fromkeys(split.partition("/")[0] for split in needed(suite, manifests))
    return {name: registry.family(name, manifests) for name in used}


def _suite_json(suite: Suite, families: Mapping[str, Family]) -> dict[str, Any]:
    return asdict(suite) | {
        "digest": suite.digest,
        "roles": [
            {"fold": fold, "role": role, "splits": splits, "images": sum(_expected(s, families) for s in splits)}
            for fold, role, splits, _ in _roles(suite)
        ],
        "licences": {name: family.licence for name, family in families.items()},
        "unverified": {name: list(family.unverified) for name, family in families.items() if family.unverified},
        "citations": {name: family.citation for name, family in families.items()},
    }


# ---------------------------------------------------------------------------------------- citations


def _cite(families: Sequence[Family]) -> None:
    """Print the citations as they are, ready to copy; those that several families share once."""
    seen = Counter(family.citation for family in families)
    out.print("\ncite:" if seen else "")
    for citation in seen:
        typer.echo(citation.strip())
