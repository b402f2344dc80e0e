"""`croftbench plot`: one picture of a suite's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from croftbench.api import reading
from croftbench.cli.console import note, put
from croftbench.cli.options import DataRoot, Manifests, MethodFilter, OneSuite, Results, Scorer, methods_of

EXAMPLES = """
croftbench plot pareto
croftbench plot energy -s emoji-open -m croft,zero-shot -o energy.png
croftbench plot pareto --scorer knn
croftbench plot roc -m "croft*,zero-shot" --columns 2 -o roc.pdf
"""

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File ending in .pdf, .png or .svg.", show_default="SUITE-KIND.svg"),
]


def plot(
    kind: Annotated[str, typer.Argument(help="energy, roc, pareto, shots or calibration.")],
    suite: OneSuite = "emoji-open",
    method: MethodFilter = None,
    scorer: Scorer = None,
    columns: Annotated[
        int,
        typer.Option("--columns", help="For a paper: 1 or 2 columns wide, no caption.", show_default=False),
    ] = 0,
    output: Output = None,
    results: Results = None,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Draw a picture of a suite's runs: score densities, ROC, accuracy against detection, shots, calibration."""
    path = output or Path(f"{Path(suite).stem if suite.endswith('.toml') else suite}-{kind}.svg")
    picture = reading.plot(
        kind, suite, methods_of(method), output=path, columns=columns, scorer=scorer, results=results,
        data_root=data_root, manifests=manifests,
    )  # fmt: skip
    put(path)
    note(picture.caption)
