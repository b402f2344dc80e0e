"""`croftbench data get`: a data set into a new folder, or how a person gets it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from croftbench.api import disk
from croftbench.cli import options
from croftbench.cli.console import out
from croftbench.cli.data.verify import print_reports, split
from croftbench.cli.help import epilog
from croftbench.data.get.obtain import ByHandError
from croftbench.errors import DataError
from croftbench.progress import Bars


@click.command(epilog=epilog("croftbench data get pacs --data-root ~/data"))
@split
@options.data_root
@options.manifests
def get(
    split: str,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Fetch a data set into a new folder under the data root, or say how to get it by hand."""
    if split == "wordnet":  # words, not images, so no family; one looks for them here all the same
        out.print("wordnet ships with croftbench; there is nothing to get: --scorers neglabel reads it.", markup=False)
        return
    if not sys.stderr.isatty():
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
    try:
        with Bars() as bars:
            got = disk.get_data(split, data_root=data_root, manifests=manifests, progress=bars)
    except ByHandError as error:
        for line in error.steps:
            out.print(line, markup=False)
        raise DataError(error.message, "Follow the steps above.") from error
    if got.family.shipped:
        out.print(f"{got.family.name} ships with croftbench; there is nothing to get.", markup=False)
    elif got.at:
        out.print(f"{got.family.name} is complete already: {got.at}.", markup=False)
    if got.fetched and got.verified:
        for folder in got.fetched.folders:
            out.print(f"{got.family.name} is now in {folder}, from {got.fetched.source}.", markup=False)
        for name in got.fetched.unchecked:
            out.print(f"{name} could not be checked: nobody published its digest.", markup=False)
        print_reports(got.verified)
