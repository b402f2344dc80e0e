"""`croftbench evaluate`: the numbers of somebody's predictions, from a file with a row an image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import click

from croftbench.api import score_files
from croftbench.cli import options
from croftbench.cli.console import note, out, put
from croftbench.cli.help import epilog

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


@click.command(epilog=epilog(EXAMPLES))
@click.argument("file", type=options.PATH, help="CSV or Parquet: image,set,label,prediction,score.")
@click.option("--known", default="id", help="The set of known images.")
@click.option("--score", multiple=True, help="Columns of scores.", show_default="all columns of numbers")
@click.option("--lower", is_flag=True, help="Scores are lower for known images.")
@click.option("--format", "form", type=click.Choice(Shape), default=Shape.rich, help="How to print.")
def evaluate(
    file: Path,
    known: str,
    score: tuple[str, ...],
    lower: bool,
    form: Shape,
) -> None:
    """Print accuracy and detection of predictions made elsewhere, each with its 95% interval."""
    from croftbench.report.formats import data, evaluated

    numbers = score_files.evaluate_file(file, known=known, scores=options.names_of(score), lower=lower)
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
