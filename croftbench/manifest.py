"""TOML manifests -> Suite and Table. What is evaluated is data; a broken manifest is an error, never skipped."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from croftbench.errors import ManifestError, UsageError, unknown
from croftbench.specs import FORBID, ClassDraw, FoldSpec, ObjectDraw, Protocol, SemanticSpec, Suite, digest

T = TypeVar("T")
NEXT = "Fix the file, then `croftbench check`."


@dataclass(frozen=True)
class Table:
    """An image table: where it comes from and what may be done with it.

    Attributes:
        name: as suites refer to it.
        title: one line for people.
        file: of the package's embedded/ folder, or "" for a table that a library ships.
        sha256: of that file (of the arrays, for a library's table): changes with any pixel.
        images: expected number of images.
        styles: style -> expected number of images; empty where the table has one style.
        licence: SPDX identifiers.
        source: where the images come from.
        citation: how to cite it.
    """

    __pydantic_config__: ClassVar = FORBID
    name: str
    title: str
    file: str
    sha256: str
    images: int
    styles: Mapping[str, int]
    licence: str
    source: str
    citation: str


@dataclass(frozen=True)
class _SuiteFile:
    """A suite's manifest, key by key."""

    __pydantic_config__: ClassVar = FORBID
    name: str
    version: int
    title: str
    table: str
    templates: tuple[str, ...]
    classes: ClassDraw
    protocol: Protocol
    folds: tuple[FoldSpec, ...]
    semantic: tuple[SemanticSpec, ...]
    objects: ObjectDraw | None = None
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def root() -> Path:
    """The manifests' folder: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "datasets_manifest"
    return inside if inside.is_dir() else package.parent / "datasets_manifest"


def names(kind: Literal["suites", "splits"], folder: Path | None = None) -> list[str]:
    """Names of all suites or all tables."""
    return sorted(path.stem for path in ((folder or root()) / kind).glob("*.toml"))


@cache
def table(name: str, folder: Path | None = None) -> Table:
    """The image table called `name`.

    Raises:
        UsageError: there is none of that name. ManifestError: its file breaks a rule.
    """
    path = _find("splits", name, folder)
    return _parse(path, Table)


@cache
def suite(name: str, folder: Path | None = None) -> Suite:
    """The suite called `name`, or the one in a user's own file when `name` ends in ".toml".

    Raises:
        UsageError: there is none of that name. ManifestError: its file breaks a rule.
    """
    path = _find("suites", name, folder)
    file = _parse(path, _SuiteFile)
    tables = [file.table, *(s.table for s in file.semantic if s.source == "table")]
    for used in tables:
        if used not in names("splits", folder):
            raise ManifestError(f"{_at(path, used)}: no table '{used}'.", NEXT)
    _check_suite(path, file, table(file.table, folder))
    content = digest([table(used, folder).sha256 for used in tables])
    return Suite(
        file.name, file.version, file.title, file.table, content, file.templates, file.classes, file.objects,
        file.folds, file.semantic, file.protocol, file.recipes,
    )  # fmt: skip


def _check_suite(path: Path, file: _SuiteFile, images: Table) -> None:
    """The rules that types do not say."""

    def rule(holds: bool, at: str, message: str) -> None:
        if not holds:
            raise ManifestError(f"{_at(path, at)}: {message}", NEXT)

    rule(all("{}" in t for t in file.templates) and bool(file.templates), "templates", "every template needs '{}'.")
    rule(0 < file.classes.known <= 1, "known", f"share of known classes {file.classes.known} is not in (0, 1].")
    rule(file.protocol.shots > 0 and file.protocol.views > 0, "shots", "shots and views must be at least 1.")
    rule(len(file.protocol.seeds) > 0, "seeds", "at least one seed is needed.")
    rule(file.protocol.headline in file.protocol.scorers, "headline", "the headline is not among the scorers.")
    if file.objects is not None:
        shares = (file.objects.train, file.objects.val, file.objects.test)
        rule(abs(sum(shares) - 1) < 1e-9 and min(shares) >= 0, "objects", "the shares of objects must sum to 1.")
    rule(bool(file.folds), "folds", "at least one fold is needed.")
    for fold in file.folds:
        for style in (*fold.train, *fold.id, *fold.covariate.values()):
            rule(style in images.styles, style, f"table '{images.name}' has no style '{style}'.")
        if file.objects is None:
            seen = set(fold.train)
            for style in (*fold.id, *fold.covariate.values()):
                rule(style not in seen, style, f"style '{style}' has two roles in fold '{fold.name}'.")
                seen.add(style)
    for spec in file.semantic:
        rule(spec.source != "groups" or bool(spec.groups), spec.name, f"semantic split '{spec.name}' names no groups.")
        if spec.source == "groups":
            overlap = set(spec.groups) & set(file.classes.groups)
            rule(not overlap, spec.name, f"'{spec.name}' shares groups with the known classes: {sorted(overlap)}.")


# ------------------------------------------------------------------------------- TOML -> dataclass


def _find(kind: Literal["suites", "splits"], name: str, folder: Path | None) -> Path:
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise UsageError(f"there is no file {name}.", "`croftbench list suites` shows the suites that ship.")
        return Path(name)
    known = names(kind, folder)
    if name not in known:
        raise unknown("suite" if kind == "suites" else "table", name, known)
    return (folder or root()) / kind / f"{name}.toml"


def _parse(path: Path, into: type[T]) -> T:
    """Read a manifest into a dataclass; the first broken rule becomes the error."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path.name}: not valid TOML: {error}.", NEXT) from error
    if data.get("name") != path.stem:
        raise ManifestError(f"{_at(path, 'name')}: the name must be the file's, '{path.stem}'.", NEXT)
    try:
        return TypeAdapter(into).validate_python(data)
    except ValidationError as error:
        unexpected = "unexpected_keyword_argument"  # said first: a misspelt key is also a missing one
        first = min(error.errors(), key=lambda e: e["type"] != unexpected)
        where = [str(part) for part in first["loc"] if part not in ("ObjectDraw",)]
        key, dotted = where[-1] if where else "", ".".join(where)
        if first["type"] == unexpected:
            close = difflib.get_close_matches(key, _keys(into), n=1)
            guess = f" Did you mean '{close[0]}'?" if close else ""
            raise ManifestError(f"{_at(path, key)}: unknown key '{dotted}'.{guess}", NEXT) from error
        raise ManifestError(f"{_at(path, key)}: {dotted}: {first['msg'].lower()}.", NEXT) from error


def _keys(into: type) -> set[str]:
    """Every key that a manifest of this type may use, at any depth."""
    schema = TypeAdapter(into).json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}


def _at(path: Path, key: str) -> str:
    """`file.toml:line` of the line that sets `key`, or else that mentions it, or just the file."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for pattern in (rf"\b{re.escape(key)}\b\s*=", rf"(?<![\w-]){re.escape(key)}(?![\w-])"):
        for number, line in enumerate(lines, 1):
            if key and not line.startswith("#") and re.search(pattern, line):
                return f"{path.name}:{number}"
    return path.name
