"""How the command line speaks: results on stdout, notes and errors on stderr.

`out` and `err` are Rich's consoles, made when a command asks for one: importing Rich takes as long as importing Click.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import cache
from typing import TYPE_CHECKING

from croftbench import plain

if TYPE_CHECKING:
    from croftbench.screen import Screen

    out: Screen
    err: Screen


def __getattr__(name: str) -> Screen:
    """`out` and `err`."""
    if name in ("out", "err"):
        return _screen(name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


@cache
def _screen(name: str) -> Screen:
    from croftbench.screen import Screen

    return Screen(stderr=name == "err")


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
    return shutil.get_terminal_size().columns if _screen("out").is_terminal else None


def note(message: str) -> None:
    """One line on stderr that is not an error."""
    _screen("err").print(message, style="dim", markup=False)
