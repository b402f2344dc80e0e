"""`croftbench export`: runs to share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from croftbench.api import sharing
from croftbench.cli import options
from croftbench.cli.console import note, put
from croftbench.cli.help import epilog

EXAMPLES = """
croftbench export mine.zip -m croft
croftbench export records -m croft --format every-eval-ever
croftbench export rows -m croft --format hub --dataset OWNER/NAME
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("file", type=options.PATH, help="The zip file to write; a folder for the other formats.")
@options.suite_filter
@options.method_filter
@click.option(
    "--format",
    "form",
    type=click.Choice(["bundle", "every-eval-ever", "hub"]),
    default="bundle",
    help="bundle: what others import here; or what other tools and the hub read.",
)
@click.option("--dataset", default="", help="For --format hub: the benchmark's data set.", show_default=False)
@options.results
@options.cache
@options.manifests
def export(
    file: Path,
    suite: tuple[str, ...],
    method: tuple[str, ...],
    form: Literal["bundle", "every-eval-ever", "hub"],
    dataset: str,
    results: str | None,
    cache: str | None,
    manifests: Path | None,
) -> None:
    """Write runs, with what they said of every image, for others: to check and merge, or to read with other tools."""
    written = sharing.export_runs(
        file, form=form, dataset=dataset, suites=options.names_of(suite), methods=options.methods_of(method),
        results=results, cache=cache, manifests=manifests,
    )  # fmt: skip
    put(file)
    size = f", {file.stat().st_size / 1e6:.2f} MB" if file.is_file() else ""
    note(f"{len(written)} run(s){size}.")
