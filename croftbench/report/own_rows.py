"""Rows of our own among the published ones: what a leaderboard says here, for other machines to find again."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from croftbench import __version__
from croftbench.files import write_atomically
from croftbench.report.published import COLUMNS, FPR, PublishedNumber, PublishedRow, read
from croftbench.report.tables import Board

BAND = 0.5
"""Points that a repetition of our own rows may differ by: machines and library versions differ in the last bits, and
training carries them on to images near a border."""


def to_csv(rows: list[PublishedRow]) -> str:
    """The file that `read` reads back without loss."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number in itertools.chain.from_iterable(row.numbers for row in rows):
        writer.writerow({name: "" if value is None else value for name, value in asdict(number).items()})
    return text.getvalue()


def record(results_dir: Path, rows: list[PublishedRow]) -> Path:
    """Put our own rows into `reported/croftbench.csv`, in place of those of the same names.

    Raises:
        DataError: the file there is broken, or cannot be written.
    """
    path = results_dir / "reported" / "croftbench.csv"
    kept = {row.name: row for row in (read(path) if path.is_file() else [])}
    kept |= {row.name: row for row in rows}
    write_atomically(path, to_csv([kept[name] for name in sorted(kept)]))
    return path


def own(board: Board, method: str, encoder: str, weights_digest: str, band: float = BAND) -> PublishedRow:
    """The leaderboard's only row as a published one: what other machines should find again."""
    suite, row = board.suite, board.table.iloc[0]
    backbone, _, weights = encoder.rpartition("/")
    shared = {
        "row": f"{suite.name}/{method}",
        "source": f"croftbench {__version__} leaderboards/{suite.name}.csv",
        "provenance": "primary",
        "suite": suite.name,
        "method": method,
        "backbone": backbone,
        "weights": weights,
        "prompts": f"{len(suite.templates)} templates of {suite.name} v{suite.version}",
        "pool": "mean over seeds, folds averaged within each",
        "shots": str(row["shots"]),
        "seeds": " ".join(map(str, board.seeds)),
        "band": band,
        "suite_digest": suite.digest[:12],
        "weights_digest": weights_digest[:12],
        "note": "",
    }
    numbers = []
    for column in (column for column in board.shown if pd.notna(row[column.name])):
        metric, split = column.name.split("/", 1)
        scorer = suite.protocol.headline if column.scorer else ""
        own = {"metric": metric, "split": split, "scorer": scorer, "value": 100 * float(row[column.name])}
        fpr = {"fpr_convention": FPR.get(metric, "")}
        numbers.append(TypeAdapter(PublishedNumber).validate_python(shared | own | fpr))
    return PublishedRow(tuple(numbers))
