"""`croftbench list`: what can be named on the command line."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

import click

from croftbench import plain
from croftbench.api import inventory
from croftbench.cli import options
from croftbench.cli.console import note, put_json
from croftbench.cli.help import epilog
from croftbench.errors import UsageError

EXAMPLES = """
croftbench list methods
croftbench list methods croft
croftbench list suites --json
"""


class Kind(StrEnum):
    """What to list."""

    methods = "methods"
    suites = "suites"
    splits = "splits"
    scorers = "scorers"
    encoders = "encoders"


DETAILS = {"citation": "", "uses": "uses: ", "parameters": "parameters: "}
"""What stands below the line that says what it is, where it has room."""

GAP, NARROWEST = 2, 12
"""Characters between columns, and of a column that is folded."""


@click.command("list", epilog=epilog(EXAMPLES))
@click.argument(
    "kind",
    metavar="KIND",
    type=click.Choice(Kind),
    help="What to list: methods, suites, splits, scorers or encoders.",
)
@click.argument("name", required=False, help="A method, for its hyper-parameters.  [default: (all there is)]")
@options.as_json
@options.cache
@options.manifests
def list_names(
    kind: Kind,
    name: str | None,
    as_json: bool,
    cache: str | None,
    manifests: Path | None,
) -> None:
    """List methods, suites, splits, scorers or encoders; or one method's hyper-parameters."""
    if name is not None and kind is not Kind.methods:
        raise UsageError(f"`list {kind.value}` takes no name.", f"Try `croftbench data describe {name}`.")
    asked = {"manifests": manifests} if kind in (Kind.suites, Kind.splits) else {}
    rows = inventory.hyperparameters(name, cache=cache) if name else getattr(inventory, kind)(**asked)
    if name and not rows:
        note(f"{name} has no hyper-parameters.")
    if as_json:
        put_json(rows)
        return
    styled = False if os.environ.get("TERM") in ("dumb", "unknown") else None  # None: in a terminal
    for line in _table(rows):
        click.echo(line, color=styled)


def _table(rows: list[inventory.Row]) -> Iterator[str]:
    """Lines as wide as the terminal, where the widest columns but the first give way; details stand in the last."""
    names = [name for name in (rows[0] if rows else {}) if name not in DETAILS]
    lines: list[tuple[list[str], dict[str, bool]]] = [(names, {"bold": True})]
    for row in rows:
        lines.append(([plain.shown(str(row[name])) for name in names], {}))
        said = [plain.shown(f"{before}{row[name]}") for name, before in DETAILS.items() if row.get(name)]
        lines += [([*[""] * (len(names) - 1), one], {"dim": True}) for one in said]
    widths = [max(map(len, column)) for column in zip(*(cells for cells, _ in lines), strict=True)]
    room = shutil.get_terminal_size().columns - GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths[1:]) > NARROWEST:
        widths[widths.index(max(widths[1:]), 1)] -= 1
    for cells, style in lines:
        folded = (textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(cells, widths, strict=True))
        for parts in zip_longest(*folded, fillvalue=""):
            padded = (part.ljust(width + GAP) for part, width in zip(parts, widths, strict=True))
            text = "".join(padded).rstrip()
            yield click.style(text, **style) if style else text
