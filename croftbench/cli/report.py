"""`croftbench report`: tables, pictures and run cards as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from croftbench.api import reading
from croftbench.cli import options
from croftbench.cli.console import note, put
from croftbench.cli.help import epilog

EXAMPLES = """
croftbench report
croftbench report emoji-open -o site
"""


@click.command(epilog=epilog(EXAMPLES))
@options.suite_names
@click.option("--output", "-o", type=options.PATH, default=Path("site"), help="Folder for index.html.")
@options.results
@options.cache
@options.data_root
@options.manifests
def report(
    suites: tuple[str, ...],
    output: Path,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Write one self-contained HTML page: sortable tables, intervals, pictures, run cards."""
    path = reading.write_page(suites, output, results=results, cache=cache, data_root=data_root, manifests=manifests)
    put(path)
    note(f"{path.stat().st_size / 1e6:.1f} MB; open it in any browser, it needs no network.")
