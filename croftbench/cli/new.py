"""`croftbench new`: a first file of one's own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from croftbench.api import starting
from croftbench.cli.console import note, put

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


def new(
    thing: Annotated[Thing, typer.Argument(help="What to write; a suite over images of yours: `data new`.")],
    name: Annotated[str, typer.Argument(help="What it is to be called, as in my-method.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where to write it.")] = Path(),
) -> None:
    """Write a file that works, to be changed, and say what to do next."""
    begin = {"method": starting.new_method, "scorer": starting.new_scorer, "suite": starting.new_suite_file}
    started = begin[thing.value](name, folder)
    note(f"Written: {started.path}. Next:")
    for command in started.commands:
        put(command)
