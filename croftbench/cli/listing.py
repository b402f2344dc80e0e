"""`croftbench list`: what can be named on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from croftbench import encoders, plugins, scorers
from croftbench.cli.console import out
from croftbench.suites import manifest, registry


class Kind(StrEnum):
    """What to list."""

    methods = "methods"
    suites = "suites"
    splits = "splits"
    scorers = "scorers"
    encoders = "encoders"


DETAILS = {"citation": "", "uses": "uses: ", "parameters": "parameters: "}
"""What stands below the line that says what it is, where it has room."""


def list_names(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List methods, suites, splits, scorers or encoders."""
    found = LISTS[kind]()
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in found[0]:
        if column not in DETAILS:
            table.add_column(column, overflow="fold", no_wrap=column == "name")
    for row in found:
        cells = {name: Text(str(value)) for name, value in row.items() if name not in DETAILS}
        for name in DETAILS:
            if row.get(name):
                cells["what"].append(f"\n{DETAILS[name]}{row[name]}", style="dim")
        table.add_row(*cells.values())
    out.print(table)


def _methods() -> list[dict[str, str]]:
    wrapped = {f"{name}+…": target for name, target in plugins.WRAPPERS.items()}
    return [
        {
            "name": name,
            "needs": plugins.needs(target),
            "what": plugins.summary(target),
            "citation": plugins.citation(target),
        }
        for name, target in {**plugins.registered(), **wrapped}.items()
    ]


def _suites() -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for suite in map(manifest.suite, manifest.names("suites")):
        folds, protocol = len(suite.folds), suite.protocol
        seeds = ", ".join(map(str, protocol.seeds))
        size = f"{folds} fold{'s' if folds > 1 else ''}, {protocol.shots} shots, seeds {seeds}"
        rows.append({"name": suite.name, "version": suite.version, "protocol": size, "what": suite.title})
    return rows


def _splits() -> list[dict[str, str | int]]:
    families = map(registry.family, manifest.names("splits"))
    return [{"name": f.name, "parts": len(f.parts), "licence": f.licence, "what": f.title} for f in families]


def _encoders() -> list[dict[str, str]]:
    published = dict.fromkeys(encoders.available(), "open_clip's published weights")
    own = {encoders.EMBEDDED: "ships with croftbench: 64 px, trained on open icons"}
    return [{"name": name, "what": what} for name, what in {**published, **own}.items()]


def _scorers() -> list[dict[str, str]]:
    return list(scorers.described())


LISTS: dict[Kind, Callable[[], Sequence[Mapping[str, str | int]]]] = {
    Kind.methods: _methods,
    Kind.suites: _suites,
    Kind.splits: _splits,
    Kind.scorers: _scorers,
    Kind.encoders: _encoders,
}
