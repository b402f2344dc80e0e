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
from typing import TYPE_CHECKING, Any

from croftbench.files import digest, file_digest, recall, remember

if TYPE_CHECKING:  # they bring pandas, which a page that was made before does without
    from croftbench.report.board_rows import BoardRow
    from croftbench.report.tables import Board

PACKAGE = Path(__file__).parents[1]
LIBRARIES = ("matplotlib", "numpy", "pandas", "pillow", "tabulate", "jinja2")


def folder(cache: Path | None, board: Board, rows: Sequence[BoardRow]) -> Path | None:
    """Where pictures of these rows of a board are kept; None where they cannot be.

    Raises:
        DataError: a per-image table is damaged.
    """
    tables = [[run.table for run in row.runs] if row.tables else [] for row in rows]
    if cache is None or any("" in each for each in tables):
        return None
    shown = [[row.name, row.label, repr(row.values)] for row in rows]
    drawn_from = [asdict(board.suite), list(board.seeds), shown, tables, code()]
    return cache / "pictures" / digest(drawn_from)[:16]


def read(folder: Path | None, name: str) -> dict[str, Any] | None:
    """What `write` kept, such as a picture's title, caption and SVG; None where it is not there."""
    return recall(folder / f"{name}.json") if folder else None


def write(folder: Path | None, name: str, made: Mapping[str, object]) -> None:
    """Keep it, where that is possible."""
    if folder:
        remember(folder / f"{name}.json", made)


@cache
def code() -> list[str]:
    """Changes with our code and templates, and with the libraries."""
    ours = sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".html", ".css", ".js"))
    return [platform.python_version(), *map(version, LIBRARIES), *map(file_digest, ours)]
