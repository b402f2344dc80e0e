"""`croftbench data new`: a suite over a folder of one's own images."""

from __future__ import annotations

from pathlib import Path

import click

from croftbench.api import own_images
from croftbench.cli import options
from croftbench.cli.console import note, out
from croftbench.cli.help import epilog
from croftbench.errors import UsageError

EXAMPLES = """
croftbench data new data/birds
croftbench data new data/birds --shift night=data/night
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("folder", help="A folder, a list of path and label, or hf://datasets/OWNER/NAME.")
@click.option("--unknown", multiple=True, help="Classes, or a folder, that are not known.")
@click.option("--shift", multiple=True, help="NAME=FOLDER: known classes in a new manner.")
@click.option(
    "--training/--no-training",
    default=None,
    help="Whether some images train; without, only methods that learn nothing run.",
    show_default="unless they are in a folder of test images",
)
@click.option("--output", "-o", type=options.PATH, help="The new file.", show_default="NAME.toml")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def new(
    folder: str,
    unknown: tuple[str, ...],
    shift: tuple[str, ...],
    training: bool | None,
    output: Path | None,
    force: bool,
) -> None:
    """Look at a folder of images and write a suite over it, ready to run."""
    shifts = dict(_pair(one) for one in shift)
    unknowns = options.names_of(unknown)
    made = own_images.new_suite(folder, output, unknown=unknowns, shifts=shifts, train=training, force=force)
    for line in made.said:
        out.print(line, markup=False)
    note(f"{made.path} is written. Next: {made.next}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UsageError(f"--shift {text} is no NAME=FOLDER.", "Example: --shift sketches=data/sketches")
    return name, folder
