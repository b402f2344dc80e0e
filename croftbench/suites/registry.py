"""Dataset families: from their manifests and the lists beside them to `Family`, every rule checked."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import ClassVar

from croftbench.errors import ManifestError, UsageError, unknown
from croftbench.suites.families import Archive, Family, Get, Layout, Part
from croftbench.suites.language import FORBID
from croftbench.suites.toml import fault, find, names, parse, root

SHIPPED = "lists/"
"""How a layout's `file` begins that lies beside the manifests."""


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
    path = find("splits", name, folder)
    file = parse(path, _FamilyFile)
    lists = path.parent.parent / "lists"
    classes = _classes(path, lists, file.classes)
    position = {key: i for i, key in enumerate(classes)}
    parts = []
    for i, part in enumerate(file.parts):
        members = tuple(range(len(classes)))
        if part.subset:
            chosen = _read(path, lists, part.subset, "parts", i, "subset")
            for key in chosen:
                if key not in position:
                    raise fault(path, f"{part.subset} names '{key}', which is no class of {name}", "parts", i, "subset")
            members = tuple(position[key] for key in chosen)
        if part.members:
            raise fault(path, "'members' is filled in from 'subset'", "parts", i, "members")
        parts.append(replace(part, members=members))
    for key in ("title", "licence", "source", "citation"):
        if not getattr(file, key).strip():
            raise fault(path, f"{key} is empty; say what is known", key)
    if not re.match(r"@\w+\{\w", file.citation.strip()):
        raise fault(path, "the citation is no BibTeX entry", "citation")
    made = Family(
        file.name, file.title, file.licence, file.homepage, file.source, file.citation, file.unverified,
        tuple(classes), tuple(classes.values()), file.get, file.archives, tuple(parts), file.layouts, lists,
    )  # fmt: skip
    _check(path, made, lists)
    return made


def split(split_id: str, folder: Path | None = None) -> tuple[Family, Part]:
    """The family and part that "family/part", or "family" where it has one part, stands for.

    Raises:
        UsageError: there is no such family or part, or the family has several parts and none is named.
    """
    name, _, part = split_id.partition("/")
    known = names("splits", folder)
    if name not in known:
        raise unknown("dataset", name, known)
    found = family(name, folder)
    if part:
        return found, found.part(part)
    if len(found.parts) > 1:
        some = ", ".join(found.split_id(p.name) for p in found.parts[:4])
        raise UsageError(f"'{name}' has {len(found.parts)} parts.", f"Name one: {some} ...")
    return found, found.parts[0]


def lines_of(path: Path) -> list[str]:
    """The lines of a shipped list, comments and empty lines left out; ".gz" is unpacked.

    Raises:
        ManifestError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read {path}: {error}.", "Install croftbench again.") from error
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def shipped_list(name: str, folder: Path | None = None) -> Path:
    """Where a list lies that ships, "NAME" or "lists/NAME"."""
    return (folder or root()) / "lists" / name.removeprefix(SHIPPED)


def _classes(path: Path, lists: Path, file: str) -> dict[str, str]:
    """Class id -> name, in label order."""
    found: dict[str, str] = {}
    for line in _read(path, lists, file, "classes") if file else ():
        key, tab, name = line.partition("\t")
        if not tab or not key or not name or key in found:
            raise fault(path, f"{file}: '{line}' is no new 'id<TAB>name'", "classes")
        found[key] = name
    return found


def _read(path: Path, lists: Path, file: str, *keys: str | int) -> list[str]:
    if not (lists / file).is_file():
        raise fault(path, f"there is no list {file}", *keys)
    return lines_of(lists / file)


# ----------------------------------------------------------------------------------------------- rules

Keys = tuple[str | int, ...]


def _check(path: Path, made: Family, lists: Path) -> None:
    """The rules that types do not say; the first that is broken is raised with its line."""
    for message, keys in _faults(made, lists):
        raise fault(path, message, *keys)


def _faults(made: Family, lists: Path) -> Iterator[tuple[str, Keys]]:
    known = [part.name for part in made.parts]
    if not known:
        yield "a family needs at least one part", ()
    for name in _twice(known):
        yield f"two parts are called '{name}'", ("parts", name)
    for key in made.unverified:
        if not _leads_somewhere(made, key):
            yield f"'{key}' is no key of this file", ("unverified", key)
    yield from _get_faults(made.get)
    for i, part in enumerate(made.parts):
        for message, key in _part_faults(part, lists):
            yield message, ("parts", i, key)
    if not made.layouts:
        yield "a family needs at least one layout", ()
    for i, layout in enumerate(made.layouts):
        for message, last in _layout_faults(made, layout, lists):
            yield message, ("layouts", i, *last)


def _get_faults(get: Get) -> Iterator[tuple[str, Keys]]:
    needs = {"huggingface": "repo", "torchvision": "dataset", "address": "urls", "hand": "say"}
    key = needs.get(get.via)
    if key and not getattr(get, key):
        yield f"get from '{get.via}' needs '{key}'", ("get",)


def _part_faults(part: Part, lists: Path) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(r"[\w.+-]+(/[\w.+-]+)*", part.name):
        yield f"'{part.name}' is no name of letters, digits, '_', '-', '.' and '/'", "name"
    counts = part.counts
    if counts and len(counts) != len(part.members):
        yield f"per_class has {len(counts)} numbers for {len(part.members)} classes", "per_class"
    if counts and part.images and sum(counts) != part.images:
        yield f"per_class sums to {sum(counts)}, images says {part.images}", "per_class"
    if part.images < 0 or any(count < 0 for count in counts):
        yield "a number of images is negative", "images"
    if any(variant.images == part.images for variant in part.variants):
        yield f"a variant has the same {part.images} images", "variants"
    if part.digest and not re.fullmatch(r"[0-9a-f]{64}", part.digest):
        yield "the digest is no SHA-256", "digest"
    if part.exclude and not (lists / part.exclude).is_file():
        yield f"there is no list {part.exclude}", "exclude"


def _layout_faults(made: Family, layout: Layout, lists: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    known = {part.name for part in made.parts}
    named: Mapping[str, Sequence[str] | Mapping[str, object]] = {
        "parts": layout.parts, "folders": layout.folders, "files": layout.files, "take": layout.take,
    }  # fmt: skip
    for key, parts in named.items():
        for part in parts:
            if part not in known:
                yield f"{made.name} has no part '{part}'", (key, part)
    for found, key in layout.aliases.items():
        if key not in made.ids:
            yield f"alias '{found}' means '{key}', which is no class of {made.name}", ("aliases", found)
    if layout.key == "name" and made.ids:
        for name in _twice(made.classnames):
            if sum(made.ids[i] not in layout.aliases.values() for i, n in enumerate(made.classnames) if n == name) > 1:
                yield f"two classes are called '{name}', so a name does not tell them apart", ("key",)
    mine = [part for part in made.parts if layout.has(part.name)]
    if layout.kind in ("list", "split-json") and not all(layout.files_of(part.name) for part in mine):
        yield f"a {layout.kind} layout needs 'file'", ("name",)
    shipped = [file for part in mine for file in layout.files_of(part.name) if file.startswith(SHIPPED)]
    for file in (*shipped, *([SHIPPED + layout.order] if layout.order else [])):
        if not (lists / file.removeprefix(SHIPPED)).is_file():
            yield f"there is no list {file.removeprefix(SHIPPED)}", (file.removeprefix(SHIPPED),)
    if not set(layout.line.split()) <= {"path", "label", "-"} or not layout.line:
        yield f"line '{layout.line}' has other columns than path, label and -", ("line",)
    for where in (*layout.at, *layout.file_in, *(f for part in mine for f in layout.folders_of(part.name))):
        if PurePosixPath(where).is_absolute() or ".." in PurePosixPath(where).parts:
            yield f"'{where}' leads out of the data root", (where,)
    bare = any(set(layout.folders_of(part.name)) & {".", ""} for part in mine)
    if layout.kind in ("folders", "flat") and bare and "." in layout.at:
        yield "the whole data root is no layout: 'at' or 'folder' must name something", ("at",)
    if layout.kind == "package" and not layout.sha256:
        yield "what ships needs its sha256", ("name",)
    if "part" in layout.columns and not layout.take:
        yield "a part column needs 'take', which says what it holds for each part", ("columns",)


def _twice(values: Sequence[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _leads_somewhere(made: Family, dotted: str) -> bool:
    """Whether a dotted key is one of the family's, e.g. "licence" or "parts.photo.images"."""
    first, *rest = dotted.split(".")
    if first not in (*_FamilyFile.__dataclass_fields__,):
        return False
    if first not in ("parts", "layouts") or not rest:
        return True
    kind, named = (Part, made.parts) if first == "parts" else (Layout, made.layouts)
    within, _, last = ".".join(rest).rpartition(".")
    whole = {one.name for one in named}
    return ".".join(rest) in whole or (within in whole and last in kind.__dataclass_fields__)
