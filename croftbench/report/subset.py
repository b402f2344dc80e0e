"""A leaderboard of some of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from croftbench.files import canonical
from croftbench.report.rows import Row
from croftbench.report.tables import Board, pareto


def only(board: Board, rows: Iterable[Row]) -> Board:
    """The table of some of its rows: their places stay, the Pareto front is of those shown."""
    wanted = {id(row) for row in rows}
    kept = [place for place, row in enumerate(board.rows) if id(row) in wanted]
    table = board.table.iloc[kept].reset_index(drop=True)
    table = table.assign(pareto=pareto(table))
    places = tuple(board.places[place] if board.places else place for place in kept)
    return replace(board, table=table, rows=tuple(board.rows[place] for place in kept), places=places)


def latest(board: Board) -> list[Row]:
    """Of rows that differ only in the version of their code, or in the images on disk, the one that ran last."""
    newest: dict[str, Row] = {}
    for row in board.rows:
        spec = row.spec
        key = canonical([spec.method, spec.params, row.encoder, spec.shots, spec.views, spec.recipe])
        other = newest.setdefault(key, row)
        if max(run.created for run in row.runs) > max(run.created for run in other.runs):
            newest[key] = row
    return list(newest.values())
