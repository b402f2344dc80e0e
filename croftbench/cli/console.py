"""How the command line speaks: results on stdout, notes and errors on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys

from croftbench import plain
from croftbench.screen import Screen

out = Screen()
err = Screen(stderr=True)


def put(text: object, end: str = "\n") -> None:
    """Text on stdout as it is, for people and programs: a path, a table in another format."""
    sys.stdout.write(plain.shown(str(text)) + end)
    sys.stdout.flush()


def put_json(value: object) -> None:
    """JSON on stdout."""
    put(plain.json_shown(json.dumps(value, indent=1, ensure_ascii=False)))


def width() -> int | None:
    """Characters of a line: of COLUMNS, else of the terminal; None in a file or a pipe, where nothing is folded."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    return shutil.get_terminal_size().columns if out.is_terminal else None


def note(message: str) -> None:
    """One line on stderr that is not an error."""
    err.print(message, style="dim", markup=False)
