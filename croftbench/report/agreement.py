"""Published numbers beside measured ones: which rows stand below a leaderboard, and which numbers agree with ours."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from croftbench.errors import DataError
from croftbench.report.published import PublishedNumber, PublishedRow
from croftbench.report.tables import Board


def matching(rows: list[PublishedRow], board: Board) -> tuple[PublishedRow, ...]:
    """The rows that can stand below a leaderboard: of its suite (and digest, where they say), with a column of it."""
    suite, shown = board.suite, {column.name for column in board.shown}
    return tuple(
        row
        for row in rows
        if row.head.suite == suite.name
        and suite.digest.startswith(row.head.suite_digest)
        and any(number.column in shown for number in row.numbers)
    )


@dataclass(frozen=True)
class Check:
    """A published number against ours, in percent."""

    column: str
    stated: float
    measured: float
    band: float

    @property
    def passed(self) -> bool:
        """Within the band, rounding noise aside."""
        return abs(self.measured - self.stated) <= self.band + 1e-9


def banded(row: PublishedRow) -> list[PublishedNumber]:
    """The numbers that can pass or fail.

    Raises:
        DataError: there are none.
    """
    numbers = [number for number in row.numbers if number.band is not None]
    if not numbers:
        raise DataError(f"published row {row.name} states no band to pass or fail against.", "Choose another row.")
    return numbers


def checks(row: PublishedRow, board: Board, method: str) -> list[Check]:
    """Every number of the row that states a band, against the leaderboard's only row.

    Raises:
        DataError: the row states no band, or the leaderboard lacks one of its columns.
    """
    checked = []
    for number in banded(row):
        measured = row.value(number.column, board.suite.protocol.headline) == number.value / 100
        if not measured or number.column not in board.metrics or pd.isna(board.table[number.column][0]):
            raise DataError(
                f"published row {row.name} has {number.scorer} {number.column}".replace("  ", " ")
                + f", which {method} on {board.suite.name} does not measure.",
                f"`croftbench leaderboard {board.suite.name} --format csv` shows what it does.",
            )
        ours = 100 * float(board.table[number.column][0])
        checked.append(Check(number.column, number.value, ours, number.band or 0.0))
    return checked
