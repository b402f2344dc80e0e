"""What a run and `leaderboard` return: a suite's table, as data and as people read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from croftbench.report.score_table import ScoreBoard
    from croftbench.report.tables import Board
    from croftbench.runs.results import RunResult
    from croftbench.runs.spec import RunSpec
    from croftbench.suites.language import Suite


@dataclass(frozen=True)
class Leaderboard:
    """One suite's runs and their table. Fractions in full precision; only text rounds.

    Attributes:
        board: the table with its seeds, its suite and what was left out of it.
        by_score: methods by detection score, where other scores than the suite's own were asked for.
        asked: what was run, of a table that a run returns.
    """

    board: Board
    by_score: ScoreBoard | None = None
    asked: tuple[RunSpec, ...] = ()

    @property
    def suite(self) -> Suite:
        """What was evaluated."""
        return self.board.suite

    @property
    def table(self) -> pd.DataFrame:
        """One row a configuration and metric: method, metric, split, value, 95% interval, std over seeds, n, ..."""
        from croftbench.report.formats import data

        return data.tidy(self.board)

    @property
    def wide(self) -> pd.DataFrame:
        """One row a configuration, ranked; see `report.tables.Board.wide` for its columns."""
        return self.board.table

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """Every run behind the table, in the order of its rows, then of seeds and folds."""
        return self.board.runs

    @property
    def focus(self) -> Board:
        """The rows of what was run, with zero-shot of the same encoder and shots as the reference; all otherwise."""
        from croftbench.report import rows, subset

        if not self.asked:
            return self.board
        wanted = {rows.configuration(spec) for spec in self.asked}
        settings = {(spec.encoder, spec.weights_digest, spec.shots) for spec in self.asked}
        return subset.only(
            self.board,
            [
                row
                for row in self.board.rows
                if row.configuration in wanted
                or (row.method, row.spec.encoder, row.spec.weights_digest, row.spec.shots)
                in {("zero-shot", *setting) for setting in settings}
            ],
        )

    def write_tables(self) -> list[Path]:
        """Write the suite's committed tables, of its own seeds, into the results folder; their paths.

        Raises:
            DataError: they cannot be written.
        """
        from croftbench.report import committed

        return committed.write_leaderboards(self.board)

    def to_markdown(self) -> str:
        """The table as the committed leaderboards have it."""
        from croftbench.report.formats import markdown

        return markdown.to_markdown(self.board)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from croftbench.report.formats import html

        return html.to_html(self.board)
