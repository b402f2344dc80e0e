"""`croftbench export`: runs to share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from croftbench.api import sharing
from croftbench.cli.console import note, put
from croftbench.cli.options import Manifests, MethodFilter, Results, SuiteFilter, methods_of, names_of

EXAMPLES = """
croftbench export mine.zip -m croft
croftbench export records -m croft --format every-eval-ever
croftbench export rows -m croft --format hub --dataset OWNER/NAME
"""


def export(
    file: Annotated[Path, typer.Argument(help="The zip file to write; a folder for the other formats.")],
    suite: SuiteFilter = None,
    method: MethodFilter = None,
    form: Annotated[
        Literal["bundle", "every-eval-ever", "hub"],
        typer.Option("--format", help="bundle: what others import here; or what other tools and the hub read."),
    ] = "bundle",
    dataset: Annotated[
        str, typer.Option("--dataset", help="For --format hub: the benchmark's data set.", show_default=False)
    ] = "",
    results: Results = None,
    manifests: Manifests = None,
) -> None:
    """Write runs, with what they said of every image, for others: to check and merge, or to read with other tools."""
    written = sharing.export_runs(
        file, form=form, dataset=dataset, suites=names_of(suite), methods=methods_of(method), results=results,
        manifests=manifests,
    )  # fmt: skip
    put(file)
    size = f", {file.stat().st_size / 1e6:.2f} MB" if file.is_file() else ""
    note(f"{len(written)} run(s){size}.")
