"""Leaderboards for programs: CSV, wide and tidy, and JSON. Fractions in full precision.

Read the CSV back with `pandas.read_csv(file, engine="pyarrow")`: in pandas 2 the other parsers may be off by the
last bit.
"""

from __future__ import annotations

import io
import json
from csv import writer
from typing import Any

import pandas as pd

from croftbench import plain
from croftbench.report.columns import Column
from croftbench.report.tables import STATISTICS, Board

SCHEMA = 1
"""Of the JSON. Top level: schema, leaderboards. A leaderboard: suite (name, version, digest, title), seeds, precision,
scorer, left_out (other_digests, other_seeds: numbers of runs), rows, reported. A row: position (from 1), method,
encoder, shots, ranked, pareto, imported, transductive, recipe ("suite" for the suite's own), caveat, coverage (runs,
runs_expected, seeds, seeds_expected, folds, folds_expected), params, params_digest, run_ids, values. A value: metric,
split, shift, positives, n, value, std, min, max, low, high; fractions, null where there is none. `low` and `high`
bound the 95% interval over images, `std`, `min` and `max` speak of seeds. A reported row: row, source, provenance,
method, encoder, shots, values (metric, split, scorer, value, a fraction)."""

HEAD = ("method", "encoder", "shots", "ranked", "pareto", "imported", "transductive", "recipe", "caveat")
COVERAGE = ("runs", "runs_expected", "seeds", "seeds_expected", "folds", "folds_expected")
STATISTIC_NAMES = ("value", "std", "min", "max", "low", "high")

TIDY = (
    "suite", "suite_version", "suite_digest", "precision", "source", "position", *HEAD, *COVERAGE, "metric", "split",
    "shift", "positives", "scorer", "n", *STATISTIC_NAMES, "params", "params_digest", "run_ids",
)  # fmt: skip
"""Columns of the tidy CSV. `source` is "measured", or the name of a published row; `positives` is empty where nothing
is detected, `scorer` for accuracy, `n` for means over several populations, and what a published row does not state is
empty too."""


FORMULA = tuple("=+-@\t\r")
"""How a cell begins that a spreadsheet would compute instead of show."""


def csv(table: pd.DataFrame) -> str:
    """CSV of any table. A text that begins like a formula has an apostrophe before it; numbers are as they are."""
    text = io.StringIO()
    lines = writer(text, lineterminator="\n")
    lines.writerow(map(_cell, table.columns))
    lines.writerows(zip(*(_cells(column) for _, column in table.items()), strict=True))
    return text.getvalue()


def _cells(column: pd.Series[Any]) -> list[Any]:
    """Python's own values, empty where there is none. `to_csv` of pandas takes half as long again."""
    values = column.tolist()
    if column.dtype == "float64":
        return ["" if value != value else value for value in values]
    if column.hasnans:
        values = ["" if missing else value for value, missing in zip(values, column.isna(), strict=True)]
    return values if pd.api.types.is_numeric_dtype(column.dtype) else [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return plain.shown(f"'{value}" if value.startswith(FORMULA) else value)


def to_wide(board: Board) -> str:
    """CSV with one line a row of the leaderboard; its columns are those of `Board.table`."""
    return csv(board.table)


def to_tidy(boards: list[Board]) -> str:
    """CSV with one line a row and metric, columns `TIDY`; suites below one another."""
    return csv(pd.concat([tidy(board) for board in boards]))


def tidy(board: Board) -> pd.DataFrame:
    """What `to_tidy` writes for one suite; whole numbers are nullable."""
    suite = {
        "suite": board.suite.name,
        "suite_version": board.suite.version,
        "suite_digest": board.suite.digest,
        "precision": board.precision,
    }
    rows = []
    for position, row in enumerate(board.records, start=1):
        names = (*HEAD, *COVERAGE, "params", "params_digest", "run_ids")
        shared = suite | {"source": "measured", "position": position} | {name: row[name] for name in names}
        scorers = [{"scorer": _scorer(board, column)} for column in board.columns]
        rows += [shared | scorer | value for scorer, value in zip(scorers, _values(board, row), strict=True)]
    for position, published in enumerate(board.reported, start=len(board.table) + 1):
        head = published.head
        shared = suite | {"source": published.name, "position": position, "method": head.method}
        shared |= {"encoder": head.encoder, "shots": int(head.shots) if head.shots.isdecimal() else None}
        shared |= {
            "ranked": False,
            "pareto": False,
            "imported": False,
            "transductive": False,
            "recipe": None,
            "caveat": None,
        }
        shared |= {"precision": None}
        for value in published.numbers:
            kind = next((_kind(column) for column in board.columns if column.name == value.column), {})
            own = {"metric": value.metric, "split": value.split, "scorer": value.scorer or None}
            rows.append(shared | kind | own | {"value": value.value / 100})
    table = pd.DataFrame(rows, columns=list(TIDY))
    return table.astype(dict.fromkeys(("position", "shots", *COVERAGE), "Int64"))


def to_json(boards: list[Board]) -> str:
    """JSON as `SCHEMA` says."""
    content = {"schema": SCHEMA, "leaderboards": [_board(board) for board in boards]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _board(board: Board) -> dict[str, Any]:
    suite = board.suite
    rows = []
    for position, row in enumerate(board.records, start=1):
        rows.append(
            {
                "position": position,
                **{name: row[name] for name in HEAD},
                "coverage": {name: row[name] for name in COVERAGE},
                "params": json.loads(row["params"]),
                "params_digest": row["params_digest"],
                "run_ids": row["run_ids"].split(),
                "values": _values(board, row),
            }
        )
    reported = [
        {
            "row": published.name,
            **{name: getattr(published.head, name) for name in ("source", "provenance", "method", "encoder", "shots")},
            "values": [
                {"metric": e.metric, "split": e.split, "scorer": e.scorer or None, "value": e.value / 100}
                for e in published.numbers
            ],
        }
        for published in board.reported
    ]
    return {
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest, "title": suite.title},
        "seeds": list(board.seeds),
        "precision": board.precision,
        "scorer": suite.protocol.headline,
        "left_out": {"other_digests": board.stale, "other_seeds": board.extra},
        "rows": rows,
        "reported": reported,
    }


def _values(board: Board, row: dict[Any, Any]) -> list[dict[str, Any]]:
    """A row's numbers, one dictionary a metric; None where there is no number."""
    return [
        _kind(column)
        | {"n": _number(row.get(f"n/{column.images}"))}
        | {to: _number(row[f"{column.name}{suffix}"]) for to, suffix in zip(STATISTIC_NAMES, STATISTICS, strict=True)}
        for column in board.columns
    ]


def _kind(column: Column) -> dict[str, str | None]:
    """What a metric column is: metric, split, the split's shift, the positives' shift."""
    metric, split = column.name.split("/", 1)
    return {"metric": metric, "split": split, "shift": column.shift, "positives": column.positives or None}


def _scorer(board: Board, column: Column) -> str | None:
    return (board.suite.protocol.headline if column.scorer == "headline" else column.scorer) or None


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
