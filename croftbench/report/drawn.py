"""Pictures of the page that were drawn before, and numbers from per-image tables: kept in the cache under the digest
of all that they are made of.

Drawing is two thirds of a page's time, and most pages are written again with the same runs.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from croftbench.files import digest, file_digest, recall, remember
from croftbench.report.board_rows import BoardRow
from croftbench.report.tables import Board

LIBRARIES = ("matplotlib", "numpy", "pandas")


def folder(cache: Path | None, board: Board, rows: Sequence[BoardRow]) -> Path | None:
    """Where pictures of these rows of a board are kept; None where they cannot be.

    Raises:
        DataError: a per-image table is damaged.
    """
    tables = [[run.table for run in row.runs] if row.tables else [] for row in rows]
    if cache is None or any("" in each for each in tables):
        return None
    shown = [[row.name, row.label, repr(row.values)] for row in rows]
    drawn_from = [asdict(board.suite), list(board.seeds), shown, tables, _code()]
    return cache / "pictures" / digest(drawn_from)[:16]


def read(folder: Path | None, name: str) -> dict[str, Any] | None:
    """What `write` kept, such as a picture's title, caption and SVG; None where it is not there."""
    return recall(folder / f"{name}.json") if folder else None


def write(folder: Path | None, name: str, made: Mapping[str, object]) -> None:
    """Keep it, where that is possible."""
    if folder:
        remember(folder / f"{name}.json", made)


@cache
def _code() -> list[str]:
    """Changes with the code that draws: ours, and the libraries'."""
    package = Path(__file__).parents[1]
    ours = sorted(path for room in ("report", "stats") for path in (package / room).glob("*.py"))
    return [platform.python_version(), *map(version, LIBRARIES), *map(file_digest, ours)]
