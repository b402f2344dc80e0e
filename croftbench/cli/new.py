"""`croftbench new`: a first file of one's own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import click

from croftbench.api import starting
from croftbench.cli import options
from croftbench.cli.console import note, put
from croftbench.cli.help import epilog

EXAMPLES = """
croftbench new method my-method
croftbench new method my-method --folder methods
croftbench new scorer my-score
croftbench new suite my-suite
"""


class Thing(StrEnum):
    """What can be begun."""

    method = "method"
    scorer = "scorer"
    suite = "suite"


@click.command(epilog=epilog(EXAMPLES))
@click.argument(
    "thing",
    metavar="THING",
    type=click.Choice(Thing),
    help="What to write: method, scorer or suite; a suite over images of yours: `data new`.",
)
@click.argument("name", help="What it is to be called, as in my-method.")
@click.option("--folder", type=options.PATH, default=Path(), help="Where to write it.")
def new(
    thing: Thing,
    name: str,
    folder: Path,
) -> None:
    """Write a file that works, to be changed, and say what to do next."""
    begin = {"method": starting.new_method, "scorer": starting.new_scorer, "suite": starting.new_suite_file}
    started = begin[thing.value](name, folder)
    note(f"Written: {started.path}. Next:")
    for command in started.commands:
        put(command)
