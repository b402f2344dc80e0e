"""`croftbench evaluate`: the numbers of somebody's predictions, from a file with a row an image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from croftbench.api import score_files
from croftbench.cli.console import note, out, put
from croftbench.cli.options import names_of

EXAMPLES = """
croftbench evaluate scores.csv
croftbench evaluate scores.parquet --known imagenet --score msp,energy
croftbench evaluate distances.csv --lower --format csv > numbers.csv
"""


class Shape(StrEnum):
    """How to print numbers."""

    rich = "rich"
    csv = "csv"
    md = "md"
    json = "json"


def evaluate(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: image,set,label,prediction,score.")],
    known: Annotated[str, typer.Option("--known", help="The set of known images.")] = "id",
    score: Annotated[
        list[str] | None,
        typer.Option("--score", help="Columns of scores.", show_default="all columns of numbers"),
    ] = None,
    lower: Annotated[bool, typer.Option("--lower", help="Scores are lower for known images.")] = False,
    form: Annotated[Shape, typer.Option("--format", help="How to print.")] = Shape.rich,
) -> None:
    """Print accuracy and detection of predictions made elsewhere, each with its 95% interval."""
    from croftbench.report.formats import data, evaluated

    numbers = score_files.evaluate_file(file, known=known, scores=names_of(score), lower=lower)
    if form == Shape.csv:
        put(data.csv(numbers), end="")
    elif form == Shape.json:
        put(numbers.to_json(orient="records", indent=1))
    elif form == Shape.md:
        put(evaluated.to_markdown(numbers), end="")
    else:
        out.print(evaluated.to_rich(numbers))
        note("AUPR is average precision: with known images as the positives, AUPR-out with unknown ones.")
        note(f"Intervals are over images. Positives of detection: the images of '{known}'. Nothing was recorded.")
