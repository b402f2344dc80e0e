"""How the command line speaks: results on stdout, notes and errors on stderr."""

from __future__ import annotations

import os
import shutil

from rich.console import Console

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def width() -> int | None:
    """Characters of a line: of COLUMNS, else of the terminal; None in a file or a pipe, where nothing is folded."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    return shutil.get_terminal_size().columns if out.is_terminal else None


def note(message: str) -> None:
    """One line on stderr that is not an error."""
    err.print(message, style="dim", markup=False)
