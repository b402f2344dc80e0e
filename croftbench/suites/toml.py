"""TOML manifests -> dataclasses, and where in its file a fault is. A key that means nothing is an error."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from croftbench import texts
from croftbench.errors import ManifestError, UsageError, unknown

T = TypeVar("T")
Folder = Literal["suites", "splits"]
NEXT = "Fix the file, then `croftbench check`."


def root() -> Path:
    """The manifests' folder: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "datasets_manifest"
    return inside if inside.is_dir() else package.parent / "datasets_manifest"


def names(kind: Folder, folder: Path | None = None) -> list[str]:
    """Names of all suites or all dataset families."""
    return sorted(path.stem for path in ((folder or root()) / kind).glob("*.toml"))


def manifest_path(kind: Folder, name: str, folder: Path | None) -> Path:
    """The manifest called `name`, or the user's own file when `name` ends in ".toml".

    Raises:
        UsageError: there is none.
    """
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise UsageError(f"there is no file {name}.", f"`croftbench list {kind}` shows those that ship.")
        return Path(name)
    shipped = names(kind, folder)
    if name not in shipped:
        raise unknown("suite" if kind == "suites" else "dataset", name, shipped)
    return (folder or root()) / kind / f"{name}.toml"


def parse(path: Path, into: type[T], *, named: bool = True) -> T:
    """Read a manifest into a dataclass; one that is not `named` has no name in it.

    Raises:
        ManifestError: the first broken rule, with its line.
    """
    try:
        data = texts.toml(path, path.name)
    except texts.TextError as error:
        raise ManifestError(error.message, f"{error.hint} {NEXT}".strip()) from error
    if named and data.get("name") != path.stem:
        raise fault(path, "the name must be the file's, " + repr(path.stem), "name")
    try:
        return _adapter(into).validate_python(data)  # type: ignore[no-any-return]
    except ValidationError as error:
        unexpected = "unexpected_keyword_argument"  # said first: a misspelt key is also a missing one
        first = min(error.errors(), key=lambda e: e["type"] != unexpected)
        where = _keys_of(first["loc"], data)
        key, dotted = str(where[-1]) if where else "", ".".join(map(str, where))
        if first["type"] == unexpected:
            close = difflib.get_close_matches(key, _keys(into), n=1)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            raise ManifestError(f"{at(path, *where)}: unknown key '{dotted}'.{guess}", NEXT) from error
        raise ManifestError(f"{at(path, *where)}: {dotted}: {first['msg'].lower()}.", NEXT) from error


def fault(path: Path, message: str, *keys: str | int) -> ManifestError:
    """The error for a broken rule at these keys: `fault(path, "there is no such style", "folds", 0, "train")`."""
    return ManifestError(f"{at(path, *keys)}: {message}.", NEXT)


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
            headers = [i for i, line in enumerate(lines) if re.match(rf"\s*\[\[(.+\.)?{re.escape(key)}\]\]", line)]
            if following < len(headers):
                number = start = headers[following]
                end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[[")), len(lines))
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
