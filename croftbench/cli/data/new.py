"""`croftbench data new`: a suite over a folder of one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.api import own_images
from croftbench.cli.console import note, out
from croftbench.cli.options import names_of
from croftbench.errors import UsageError


def new(
    folder: Annotated[str, typer.Argument(help="A folder, a list of path and label, or hf://datasets/OWNER/NAME.")],
    unknown: Annotated[
        list[str] | None,
        typer.Option("--unknown", help="Classes, or a folder, that are not known.", show_default=False),
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option("--shift", help="NAME=FOLDER: known classes in a new manner.", show_default=False),
    ] = None,
    training: Annotated[
        bool | None,
        typer.Option(
            "--training/--no-training",
            help="Whether some images train; without, only methods that learn nothing run.",
            show_default="unless they are in a folder of test images",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The new file.", show_default="NAME.toml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Look at a folder of images and write a suite over it, ready to run."""
    shifts = dict(_pair(one) for one in shift or ())
    unknowns = names_of(unknown)
    made = own_images.new_suite(folder, output, unknown=unknowns, shifts=shifts, train=training, force=force)
    for line in made.said:
        out.print(line, markup=False)
    note(f"{made.path} is written. Next: {made.next}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UsageError(f"--shift {text} is no NAME=FOLDER.", "Example: --shift sketches=data/sketches")
    return name, folder
