"""Whose line it was: a method's fault is told with its author's own file and line."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from croftbench.errors import CroftbenchError, MethodError, TrainingError

PACKAGE = Path(__file__).parent
METHODS = PACKAGE / "methods"
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of other people's packages, which may lie below an author's own folder."""

MEMORY = ("OutOfMemoryError", "MemoryError")
MORE_ROOM = "Try a smaller --set batch=, fewer --shots, or --device cpu."
LONGEST = 300
"""Characters of what a method raised that are repeated; the rest is in the record."""


def raised(error: BaseException, author: Any, begins: Any = None) -> MethodError:
    """What an author's code raised, as a failure of its run; see `line` for the arguments."""
    name, text = type(error).__name__, " ".join(str(error).split())[:LONGEST]
    hint = ""
    if isinstance(error, SystemExit):
        text = f"it called exit({'' if error.code is None else error.code!r})"
    elif _memory(error):
        hint = MORE_ROOM
    return MethodError(f"{name}: {text.rstrip('.')}" if text else name, hint, line(error, author, begins))


def ours(error: Exception) -> CroftbenchError:
    """What nobody foresaw, outside of any author's code: one line, as it fails one run and not all."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST].rstrip('.')}"
    hint = MORE_ROOM if _memory(error) else "This is a bug of croftbench: please report it."
    return CroftbenchError(f"{text}, at {shown(frame.filename)}:{frame.lineno}.", hint)


def _memory(error: BaseException) -> bool:
    return type(error).__name__ in MEMORY or "out of memory" in str(error)


def told(error: CroftbenchError, author: Any, begins: Any = None) -> CroftbenchError:
    """An error in this package's own words, with the line of the author's that led to it, unless that is our own."""
    if isinstance(error, MethodError) or not (where := line(error, author, begins)) or _ours(where.rpartition(":")[0]):
        return error
    message = error.message.rstrip(".")
    if isinstance(error, TrainingError):
        return MethodError(message, error.hint, where)
    return type(error)(f"{message}, at {where}.", error.hint)


def line(error: BaseException, author: Any, begins: Any = None) -> str:
    """The author's "file:line" that raised, or where the author's code begins; "" where neither is known.

    Args:
        error: what was raised.
        author: a class, function, object or file: code of its folder is its author's.
        begins: what was called, where that is not `author` itself.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}:{error.lineno}"
    homes = _homes(author)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _inside(frame.filename, homes):
            return f"{shown(frame.filename)}:{frame.lineno}"
    return defined(author if begins is None else begins)


def defined(thing: Any) -> str:
    """The "file:line" where a class's `fit`, a function, or an object that is called begins; "" where nothing says."""
    code = _code(thing)
    return f"{shown(code.co_filename)}:{code.co_firstlineno}" if code else ""


def shown(path: str | Path) -> str:
    """A file as its author knows it: from the current folder where it lies below, else whole."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd().resolve()))
    except (ValueError, OSError):
        return str(path)


def _code(thing: Any) -> Any:
    """The code that an author's thing runs first; None where it has none, as what C defines."""
    for _ in range(9):  # a partial of a partial of ...
        if isinstance(thing, type):
            thing = getattr(thing, "fit", None)
        if (code := getattr(thing, "__code__", None)) is not None:
            return code
        inner = (getattr(thing, name, None) for name in ("__func__", "func", "_predict", "__wrapped__"))
        found = next((one for one in inner if one is not None), None)  # of a method, a partial, `training.Renaming`
        thing = found or getattr(type(thing), "__call__", None)  # noqa: B004  the function, not whether there is one
    return None


def _homes(author: Any) -> set[str]:
    """Folders, or single files, of an author's code; a wrapped method has two authors."""
    if isinstance(author, Path):
        return {str(author.resolve())}
    own = [author] if isinstance(author, type) or hasattr(author, "__code__") else [type(author)]
    inside = [f.type for f in getattr(author, "__dataclass_fields__", {}).values() if isinstance(f.type, type)]
    bases = [base for one in (*own, *inside) if isinstance(one, type) for base in one.__mro__[1:]]
    homes = {_home(one) for one in (*own, *inside)}
    homes |= {home for home in map(_home, bases) if _ours(home) or not INSTALLED & set(Path(home).parts)}
    return homes - {""}


def _home(one: Any) -> str:
    """Where a class's or function's author writes: its file's folder; a cell of a notebook; "" for no author."""
    name = getattr(one, "__module__", None) or ""
    if name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return ""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return getattr(_code(one), "co_filename", "")
    path = Path(file).resolve()
    return str(path if path.parent.name in INSTALLED else path.parent)


def _ours(path: str) -> bool:
    return Path(path).resolve().is_relative_to(PACKAGE)


def _inside(file: str, homes: set[str]) -> bool:
    if file in homes:  # a notebook's cell, which is no path
        return True
    path = Path(file).resolve()
    if _ours(file) and not path.is_relative_to(METHODS):
        return False
    below = [path.relative_to(home) for home in homes if Path(home).is_absolute() and path.is_relative_to(home)]
    return any(not INSTALLED & set(one.parts) for one in below)
