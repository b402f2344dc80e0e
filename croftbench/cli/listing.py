"""`croftbench list`: what can be named on the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from croftbench.api import inventory
from croftbench.cli import options
from croftbench.cli.console import note, out, put_json
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
    table = Table(box=None, pad_edge=False)
    for column in (name for name in (rows[0] if rows else {}) if name not in DETAILS):
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for row in rows:
        cells = {name: Text(str(value)) for name, value in row.items() if name not in DETAILS}
        for name in DETAILS:
            if row.get(name):
                cells["what"].append(f"\n{DETAILS[name]}{row[name]}", style="dim")
        table.add_row(*cells.values())
    out.print(table)
