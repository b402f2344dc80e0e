"""`croftbench report`: tables, pictures and run cards as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.api import reading
from croftbench.cli.console import note, put
from croftbench.cli.options import Manifests, Results, SuiteNames

EXAMPLES = """
croftbench report
croftbench report emoji-open -o site
"""


def report(
    suites: SuiteNames = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for index.html.")] = Path("site"),
    results: Results = None,
    manifests: Manifests = None,
) -> None:
    """Write one self-contained HTML page: sortable tables, intervals, pictures, run cards."""
    path = reading.write_page(suites or (), output, results=results, manifests=manifests)
    put(path)
    note(f"{path.stat().st_size / 1e6:.1f} MB; open it in any browser, it needs no network.")
