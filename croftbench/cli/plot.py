"""`croftbench plot`: one picture of a suite's runs."""

from __future__ import annotations

from pathlib import Path

import click

from croftbench.api import reading
from croftbench.cli import options
from croftbench.cli.console import note, put
from croftbench.cli.help import epilog

EXAMPLES = """
croftbench plot pareto
croftbench plot energy -s emoji-open -m croft,zero-shot -o energy.png
croftbench plot pareto --scorer knn
croftbench plot roc -m "croft*,zero-shot" --columns 2 -o roc.pdf
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("kind", help="energy, roc, pareto, shots or calibration.")
@options.one_suite
@options.method_filter
@options.scorer
@click.option(
    "--columns",
    type=int,
    default=0,
    help="For a paper: 1 or 2 columns wide, no caption.",
    show_default=False,
)
@click.option(
    "--output",
    "-o",
    type=options.PATH,
    help="File ending in .pdf, .png or .svg.",
    show_default="SUITE-KIND.svg",
)
@options.results
@options.cache
@options.data_root
@options.manifests
def plot(
    kind: str,
    suite: str,
    method: tuple[str, ...],
    scorer: str | None,
    columns: int,
    output: Path | None,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Draw a picture of a suite's runs: score densities, ROC, accuracy against detection, shots, calibration."""
    path = output or Path(f"{Path(suite).stem if suite.endswith('.toml') else suite}-{kind}.svg")
    picture = reading.plot(
        kind, suite, options.methods_of(method), output=path, columns=columns, scorer=scorer, results=results,
        cache=cache, data_root=data_root, manifests=manifests,
    )  # fmt: skip
    put(path)
    note(picture.caption)
