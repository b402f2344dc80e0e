"""`croftbench export`: runs to share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.api import reading
from croftbench.cli.console import note, put
from croftbench.cli.options import MethodFilter, Results, SuiteFilter, methods_of, names_of

EXAMPLES = """
croftbench export mine.zip -m croft
"""


def export(
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    suite: SuiteFilter = None,
    method: MethodFilter = None,
    results: Results = None,
) -> None:
    """Write runs, with what they said of every image, to one file that others can check and merge."""
    written = reading.export_runs(file, suites=names_of(suite), methods=methods_of(method), results=results)
    put(file)
    note(f"{len(written)} run(s), {file.stat().st_size / 1e6:.2f} MB.")
