"""Dataset families: from their manifests and the lists beside them to `Family`, every rule checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from croftbench import texts
from croftbench.errors import ManifestError, UsageError, unknown
from croftbench.suites import family_rules
from croftbench.suites.families import PRIVATE, SHIPPED, Archive, Family, Get, Layout, Part
from croftbench.suites.language import FORBID
from croftbench.suites.shelves import Where, beside, folders, is_public
from croftbench.suites.toml import NEXT, Keys, build, collect, fault, manifest_path, names, read, together
from croftbench.texts import Row, TextError


def _named(part: object) -> object:
    return {"name": part} if isinstance(part, str) else part


@dataclass(frozen=True)
class _FamilyFile:
    """A family's manifest, key by key.

    What ships says its licence, homepage, source and citation; a private folder need not.

    Attributes:
        parts: a part of which nothing but its name is known may be just that.
        classes: file of lists/ with "id<TAB>name" lines; or the ids themselves, which then are the names too; or a
            table from id to name.
        root: the folder that `at` of its layouts is below, where that is not the data root; see `Family`.
    """

    __pydantic_config__: ClassVar = FORBID
    name: str
    parts: tuple[Annotated[Part, BeforeValidator(_named)], ...]
    layouts: tuple[Layout, ...]
    title: str = ""
    licence: str = PRIVATE
    homepage: str = ""
    source: str = ""
    citation: str = ""
    unverified: tuple[str, ...] = ()
    classes: str | tuple[str, ...] | Mapping[str, str] = ""
    root: str = ""
    get: Get = field(default_factory=Get)
    archives: tuple[Archive, ...] = ()


@cache
def family(name: str, folder: Where = None) -> Family:
    """The dataset family called `name`, or the one in a user's own file when `name` ends in ".toml".

    Raises:
        UsageError: there is none of that name. ManifestError: its file, or a list that it names, breaks a rule.
    """
    path = manifest_path("splits", name, folder)
    data = read(path)
    if "families" not in data:
        return _made(path, data, path.parent.parent / "lists")
    position = next(i for i, one in enumerate(data["families"]) if one.get("name") == name)
    return inline(path, data["families"][position], position, folder)


def inline(path: Path, data: Mapping[str, Any], position: int, folder: Where = None) -> Family:
    """The family that the suite in `path` carries at that position of its `families`.

    Raises:
        ManifestError: it breaks a rule.
    """
    return _made(path, data, folders(folder)[0] / "lists", "families", position)


def _made(path: Path, data: Mapping[str, Any], lists: Path, *within: str | int) -> Family:
    file = build(path, data, _FamilyFile, *within)
    classes = _classes(path, lists, file.classes, (*within, "classes"))
    position = {key: i for i, key in enumerate(classes)}
    parts, wrong = [], []
    for i, part in enumerate(file.parts):
        where = (*within, "parts", i)
        members = tuple(range(len(classes)))
        if part.subset:
            said = part.subset if isinstance(part.subset, str) else "subset"
            chosen = _listed(path, lists, said, *where, "subset") if said is part.subset else part.subset
            lost = [key for key in chosen if key not in position]
            wrong += [fault(path, f"{said} names '{key}', which is no class of {file.name}", *where, "subset").message
                      for key in lost]  # fmt: skip
            members = tuple(position[key] for key in chosen if key in position)
        if part.members:
            raise fault(path, "'members' is filled in from 'subset'", *where, "members")
        parts.append(replace(part, members=members))
    made = Family(
        file.name, file.title or file.name, file.licence, file.homepage, file.source, file.citation, file.unverified,
        tuple(classes), tuple(classes.values()), file.get, file.archives, tuple(parts), file.layouts, lists, file.root,
    )  # fmt: skip
    rules = family_rules.rules(made, lists, _FamilyFile.__dataclass_fields__.keys(), public=is_public(path))
    wrong += collect(path, rules, *within)
    if wrong:
        raise together(wrong)
    return made


def split(split_id: str, folder: Where = None) -> tuple[Family, Part]:
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


def shipped_list(name: str, folder: Where = None) -> Path:
    """Where a list lies that ships, "NAME" or "lists/NAME"."""
    return beside("lists", name.removeprefix(SHIPPED), folder)


def _classes(path: Path, lists: Path, said: str | tuple[str, ...] | Mapping[str, str], keys: Keys) -> dict[str, str]:
    """Class id -> name, in label order."""
    if isinstance(said, Mapping):
        return dict(said)
    if isinstance(said, tuple):
        if twice := [key for key, count in Counter(said).items() if count > 1]:
            raise fault(path, f"class '{twice[0]}' is there twice", *keys)
        return dict(zip(said, said, strict=True))
    file, classes = said, dict[str, str]()
    for row in _read(path, lists, file, *keys) if file else ():
        if len(row.cells) < 2 or not all(row.cells[:2]) or any(row.cells[2:]):
            form = "'id,name'; a name with a comma stands in quotes" if texts.is_csv(lists / file) else "'id<TAB>name'"
            raise fault(path, f"{file}:{row.number}: '{' '.join(row.cells)}' is no {form}", *keys)
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
