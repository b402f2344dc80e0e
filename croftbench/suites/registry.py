"""Dataset families: from their manifests and the lists beside them to `Family`, every rule checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

from croftbench import texts
from croftbench.errors import ManifestError, UsageError, unknown
from croftbench.suites import family_rules
from croftbench.suites.families import SHIPPED, Archive, Family, Get, Layout, Part
from croftbench.suites.language import FORBID
from croftbench.suites.toml import NEXT, fault, manifest_path, names, parse, root
from croftbench.texts import Row, TextError


@dataclass(frozen=True)
class _FamilyFile:
    """A family's manifest, key by key."""

    __pydantic_config__: ClassVar = FORBID
    name: str
    title: str
    licence: str
    homepage: str
    source: str
    citation: str
    parts: tuple[Part, ...]
    layouts: tuple[Layout, ...]
    unverified: tuple[str, ...] = ()
    classes: str = ""
    get: Get = field(default_factory=Get)
    archives: tuple[Archive, ...] = ()


@cache
def family(name: str, folder: Path | None = None) -> Family:
    """The dataset family called `name`, or the one in a user's own file when `name` ends in ".toml".

    Raises:
        UsageError: there is none of that name. ManifestError: its file, or a list that it names, breaks a rule.
    """
    path = manifest_path("splits", name, folder)
    file = parse(path, _FamilyFile)
    lists = path.parent.parent / "lists"
    classes = _classes(path, lists, file.classes)
    position = {key: i for i, key in enumerate(classes)}
    parts = []
    for i, part in enumerate(file.parts):
        members = tuple(range(len(classes)))
        if part.subset:
            chosen = _listed(path, lists, part.subset, "parts", i, "subset")
            for key in chosen:
                if key not in position:
                    raise fault(path, f"{part.subset} names '{key}', which is no class of {name}", "parts", i, "subset")
            members = tuple(position[key] for key in chosen)
        if part.members:
            raise fault(path, "'members' is filled in from 'subset'", "parts", i, "members")
        parts.append(replace(part, members=members))
    made = Family(
        file.name, file.title, file.licence, file.homepage, file.source, file.citation, file.unverified,
        tuple(classes), tuple(classes.values()), file.get, file.archives, tuple(parts), file.layouts, lists,
    )  # fmt: skip
    family_rules.check(path, made, lists, _FamilyFile.__dataclass_fields__.keys())
    return made


def split(split_id: str, folder: Path | None = None) -> tuple[Family, Part]:
    """The family and part that "family/part", or "family" where it has one part, stands for.

    Raises:
        UsageError: there is no such family or part, or the family has several parts and none is named.
    """
    name, _, part = split_id.partition("/")
    shipped = names("splits", folder)
    if name not in shipped:
        raise unknown("dataset", name, shipped)
    named = family(name, folder)
    if part:
        return named, named.part(part)
    if len(named.parts) > 1:
        some = ", ".join(named.split_id(p.name) for p in named.parts[:4])
        raise UsageError(f"'{name}' has {len(named.parts)} parts.", f"Name one: {some} ...")
    return named, named.parts[0]


def lines_of(path: Path) -> list[str]:
    """The lines of a shipped list, comments and empty lines left out; ".gz" is unpacked.

    Raises:
        ManifestError: the file cannot be read.
    """
    try:
        return [line for _, line in texts.lines(path)]
    except TextError as error:
        raise ManifestError(error.message, error.hint) from error


def rows_of(path: Path) -> list[Row]:
    """The lines of a list as cells, see `texts.rows`; none begins as another does.

    Raises:
        ManifestError: the file cannot be read, or two lines are of one class.
    """
    try:
        rows = texts.rows(path)
    except TextError as error:
        raise ManifestError(error.message, error.hint) from error
    if twice := _twice(rows):
        raise ManifestError(f"{path.name}:{twice}.", NEXT)
    return rows


def shipped_list(name: str, folder: Path | None = None) -> Path:
    """Where a list lies that ships, "NAME" or "lists/NAME"."""
    return (folder or root()) / "lists" / name.removeprefix(SHIPPED)


def _classes(path: Path, lists: Path, file: str) -> dict[str, str]:
    """Class id -> name, in label order."""
    classes: dict[str, str] = {}
    for row in _read(path, lists, file, "classes") if file else ():
        if len(row.cells) < 2 or not all(row.cells[:2]) or any(row.cells[2:]):
            form = "'id,name'; a name with a comma stands in quotes" if texts.is_csv(lists / file) else "'id<TAB>name'"
            raise fault(path, f"{file}:{row.number}: '{' '.join(row.cells)}' is no {form}", "classes")
        classes[row.cells[0]] = row.cells[1]
    return classes


def _listed(path: Path, lists: Path, file: str, *keys: str | int) -> list[str]:
    """The class ids of a list; what follows them is for people."""
    return [row.cells[0] for row in _read(path, lists, file, *keys)]


def _read(path: Path, lists: Path, file: str, *keys: str | int) -> list[Row]:
    if not (lists / file).is_file():
        raise fault(path, f"there is no list {file}", *keys)
    try:
        rows = texts.rows(lists / file, file)
    except TextError as error:
        raise fault(path, error.message.rstrip("."), *keys) from error
    if twice := _twice(rows):
        raise fault(path, f"{file}:{twice}", *keys)
    return rows


def _twice(rows: Sequence[Row]) -> str:
    """Line and fault of the first that begins as an earlier one; "" where none does."""
    met: dict[str, int] = {}
    for row in rows:
        if row.cells[0] in met:
            return f"{row.number}: '{row.cells[0]}' is in line {met[row.cells[0]]} already"
        met[row.cells[0]] = row.number
    return ""
