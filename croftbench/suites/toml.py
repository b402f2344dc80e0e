"""TOML manifests -> dataclasses, and where in its file a fault is. A key that means nothing is an error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from croftbench import texts
from croftbench.errors import ManifestError
from croftbench.suites.shelves import manifest_path, names, root

__all__ = [
    "NEXT", "Faults", "Keys", "at", "build", "collect", "fault", "manifest_path", "names", "parse", "read", "root",
    "together",
]  # fmt: skip

T = TypeVar("T")
Keys = tuple[str | int, ...]
Faults = Iterator[tuple[str, Keys]]
"""What is wrong, and at which keys."""

NEXT = "Fix the file, then `croftbench check`."


def parse(path: Path, into: type[T], *, named: bool = True) -> T:
    """Read a manifest into a dataclass; one that is not `named` has no name in it.

    Raises:
        ManifestError: every key that is wrong, each with its line.
    """
    return build(path, read(path, named=named), into)


def read(path: Path, *, named: bool = True) -> dict[str, Any]:
    """A manifest as plain data; its name is the file's, unless it has none.

    Raises:
        ManifestError: it is no TOML, or is called otherwise.
    """
    try:
        data = texts.toml(path, path.name)
    except texts.TextError as error:
        raise ManifestError(error.message, f"{error.hint} {NEXT}".strip()) from error
    if named and data.get("name") != path.stem:
        raise fault(path, "the name must be the file's, " + repr(path.stem), "name")
    return data


def build(path: Path, data: Mapping[str, Any], into: type[T], *within: str | int) -> T:
    """The dataclass that plain data are; `within` is where they stand in the file.

    Raises:
        ManifestError: every key that is wrong, each with its line.
    """
    try:
        return _adapter(into).validate_python(data)  # type: ignore[no-any-return]
    except ValidationError as error:
        unexpected = "unexpected_keyword_argument"  # said first: a misspelt key is also a missing one
        messages, meant = [], set()
        for one in sorted(error.errors(), key=lambda one: one["type"] != unexpected):
            where = _keys_of(one["loc"], data)
            key, dotted = str(where[-1]) if where else "", ".".join(map(str, where))
            line = at(path, *within, *where)
            if one["type"] == unexpected:
                close = difflib.get_close_matches(key, _keys(into), n=1)
                meant.update(close)
                guess = f" Did you mean '{close[0]}'?" if close else ""
                messages.append(f"{line}: unknown key '{dotted}'.{guess}")
            elif key not in meant:
                messages.append(f"{line}: {dotted}: {one['msg'].lower()}.")
        raise together(messages) from error


def fault(path: Path, message: str, *keys: str | int) -> ManifestError:
    """The error for a broken rule at these keys: `fault(path, "there is no such style", "folds", 0, "train")`."""
    return ManifestError(f"{at(path, *keys)}: {message}.", NEXT)


def together(messages: Iterable[str]) -> ManifestError:
    """One error for all that is wrong, a line each."""
    return ManifestError("\n".join(dict.fromkeys(messages)), NEXT)


def collect(path: Path, rules: Iterable[Faults], *within: str | int) -> list[str]:
    """What is wrong by every rule, each message with its line; `within` is where the rules' keys stand in the file."""
    found: list[str] = []
    stopped: Exception | None = None
    for rule in rules:
        try:
            for message, keys in rule:
                found.append(f"{at(path, *within, *keys)}: {message}.")
        except (ArithmeticError, LookupError, ValueError, ManifestError) as error:
            stopped = stopped or error
    if stopped and not found:  # else what is wrong is why a rule could not go on
        raise stopped
    return found


def at(path: Path, *keys: str | int) -> str:
    """`file.toml:line` of the innermost of the keys that the file spells out, or just the file.

    A number is a position in an array of tables; a text is a key, or else a value that a line mentions.
    """
    lines = texts.read(path).split("\n")
    number, start, end = None, 0, len(lines)
    for key, following in zip(keys, (*keys[1:], None), strict=True):
        if isinstance(key, int):
            continue
        if isinstance(following, int):
            header = re.compile(rf"\s*\[\[(.+\.)?{re.escape(key)}\]\]")
            headers = [i for i in range(start, end) if header.match(lines[i])]
            if following < len(headers):
                number = start = headers[following]
                inside = lines[start].strip().rstrip("]") + "."  # "[[folds.": tables of this table
                others = (i for i in range(start + 1, end) if lines[i].lstrip().startswith("[["))
                end = next((i for i in others if not lines[i].lstrip().startswith(inside)), end)
                continue
        line = _mention(lines[start:end], key)
        if line is not None:
            number = start = start + line
    return path.name if number is None else f"{path.name}:{number + 1}"


def _mention(lines: list[str], key: str) -> int | None:
    """First line that sets a key, or else the first that mentions it."""
    for pattern in (rf"(?<![\w-]){re.escape(key)}\"?\s*=", rf"(?<![\w-]){re.escape(key)}(?![\w-])"):
        for number, line in enumerate(lines):
            if key and not line.startswith("#") and re.search(pattern, line):
                return number
    return None


def _keys_of(location: tuple[Any, ...], data: Any) -> list[str | int]:
    """Pydantic's location without what it says of types: only keys and positions that lead somewhere in the file."""
    kept: list[str | int] = []
    for i, step in enumerate(location):
        if (isinstance(data, dict) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        ):
            data = data[step]
        elif i + 1 < len(location) or not isinstance(data, dict):
            continue  # the name of a union's member
        kept.append(step)
    return kept


_adapters: dict[object, TypeAdapter[Any]] = {}


def _adapter(into: type[Any]) -> TypeAdapter[Any]:
    """Pydantic's reader for a type; making one takes longer than reading a manifest."""
    if into not in _adapters:
        _adapters[into] = TypeAdapter(into)
    return _adapters[into]


def _keys(into: type[Any]) -> set[str]:
    """Every key that a manifest of this type may use, at any depth."""
    schema = _adapter(into).json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
