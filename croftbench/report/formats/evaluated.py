"""Numbers of predictions that somebody made, with their intervals, for a terminal and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from croftbench.report.cells import percent
from croftbench.report.columns import MEASURES
from croftbench.report.formats import markdown

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

HEADER = ("measure", "set", "score", "%", "95% interval", "known", "unknown")


def to_rich(numbers: pd.DataFrame) -> Table:
    """One line a number. Names are never read as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*HEADER, box=box.SIMPLE_HEAD)
    for column in table.columns[3:]:
        column.justify = "right"
    for cells in _lines(numbers):
        table.add_row(*map(Text, cells))
    return table


def to_markdown(numbers: pd.DataFrame) -> str:
    """The same as Markdown."""
    rows = [HEADER, ("---", "---", "---", "---:", "---:", "---:", "---:"), *_lines(numbers)]
    return "".join("| " + " | ".join(markdown.escape(cell) for cell in row) + " |\n" for row in rows)


def _lines(numbers: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in numbers.to_dict("records"):
        measure = MEASURES.get(row["metric"], row["metric"])
        interval = f"{percent(row['low'])} to {percent(row['high'])}"
        against = "" if row["reference"] in ("", "id") else f" against {row['reference']}"
        unknown = f"{row['n_ood']:,}" if row["n_ood"] else ""
        yield (
            measure, f"{row['split']}{against}", row["scorer"], percent(row["value"]), interval, f"{row['n_id']:,}",
            unknown,
        )  # fmt: skip
