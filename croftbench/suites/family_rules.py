"""What a family's manifest must keep to beyond its types."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from croftbench import texts
from croftbench.suites.families import PRIVATE, SHIPPED, Family, Get, Layout, Part
from croftbench.suites.toml import Faults


def rules(made: Family, lists: Path, keys: Collection[str], *, public: bool) -> list[Faults]:
    """What the family must keep to.

    Args:
        made: the family.
        lists: the folder of lists that it names.
        keys: what a family's manifest may say at the top.
        public: whether it ships, and so owes its users a licence, a source and a citation.
    """
    return [
        _origin(made, public),
        _parts(made, keys),
        *(_within("parts", i, _part_faults(part, lists)) for i, part in enumerate(made.parts)),
        *(_within("layouts", i, layout_faults(made, one, lists)) for i, one in enumerate(made.layouts)),
    ]


def _within(key: str, position: int, faults: Faults) -> Faults:
    for message, keys in faults:
        yield message, (key, position, *keys)


def _origin(made: Family, public: bool) -> Faults:
    owes = public or made.licence != PRIVATE
    for key in ("title", "licence", "source", "citation") if owes else ():
        if not getattr(made, key).strip() or getattr(made, key) == PRIVATE:
            yield f"{key} is empty; say what is known", (key,)
    if (owes or made.citation) and not re.match(r"@\w+\{\w", made.citation.strip()):
        yield "the citation is no BibTeX entry", ("citation",)
    if not re.fullmatch(r"[\w.+-]+", made.name):
        yield f"'{made.name}' is no name of letters, digits, '_', '-' and '.'", ("name",)
    hub = re.fullmatch(r"hf://datasets/[\w.-]+/[\w.-]+(@[\w./-]+)?", made.root)
    if made.root and not hub and not Path(made.root).expanduser().is_absolute():
        yield f"root '{made.root}' is no absolute path; leave it out and say --data-root", ("root",)


def _parts(made: Family, keys: Collection[str]) -> Faults:
    names = [part.name for part in made.parts]
    if not names:
        yield "a family needs at least one part", ()
    for name in _twice(names):
        yield f"two parts are called '{name}'", ("parts", name)
    for key in made.unverified:
        if not _is_key(made, key, keys):
            yield f"'{key}' is no key of this file", ("unverified", key)
    yield from _get_faults(made.get)
    if not made.layouts:
        yield "a family needs at least one layout", ()


def _get_faults(get: Get) -> Faults:
    needs = {"huggingface": "repo", "torchvision": "dataset", "address": "urls", "hand": "say"}
    key = needs.get(get.via)
    if key and not getattr(get, key):
        yield f"get from '{get.via}' needs '{key}'", ("get",)


def _part_faults(part: Part, lists: Path) -> Faults:
    if not re.fullmatch(r"[\w.+-]+(/[\w.+-]+)*", part.name):
        yield f"'{part.name}' is no name of letters, digits, '_', '-', '.' and '/'", ("name",)
    counts = part.counts
    if counts and len(counts) != len(part.members):
        yield f"per_class has {len(counts)} numbers for {len(part.members)} classes", ("per_class",)
    if counts and part.images and sum(counts) != part.images:
        yield f"per_class sums to {sum(counts)}, images says {part.images}", ("per_class",)
    if part.images < 0 or any(count < 0 for count in counts):
        yield "a number of images is negative", ("images",)
    if any(variant.images == part.images for variant in part.variants):
        yield f"a variant has the same {part.images} images", ("variants",)
    if part.digest and not re.fullmatch(r"[0-9a-f]{64}", part.digest):
        yield "the digest is no SHA-256", ("digest",)
    if part.exclude and not (lists / part.exclude).is_file():
        yield f"there is no list {part.exclude}", ("exclude",)


def layout_faults(made: Family, layout: Layout, lists: Path, *, own_root: bool = False) -> Faults:
    """What is wrong with a layout, and at which of its keys; only in its `own_root` may a data set have no folder."""
    names = {part.name for part in made.parts}
    named: Mapping[str, Sequence[str] | Mapping[str, object]] = {
        "parts": layout.parts, "folders": layout.folders, "files": layout.files, "take": layout.take,
    }  # fmt: skip
    for key, parts in named.items():
        for part in parts:
            if part not in names:
                yield f"{made.name} has no part '{part}'", (key, part)
    for alias, key in layout.aliases.items():
        if key not in made.ids:
            yield f"alias '{alias}' means '{key}', which is no class of {made.name}", ("aliases", alias)
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
    for row in texts.rows(lists / layout.order) if layout.order else ():
        if row.cells[0] not in made.ids:
            yield f"{layout.order}:{row.number}: '{row.cells[0]}' is no class of {made.name}", ("order",)
    if not layout.line or not all(one in ("path", "label", "-") or one[0] == "=" for one in layout.line.split()):
        yield f"line '{layout.line}' has other columns than path, label, =value and -", ("line",)
    for where in (*layout.at, *layout.file_in, *(f for part in mine for f in layout.folders_of(part.name))):
        if PurePosixPath(where).is_absolute() or ".." in PurePosixPath(where).parts:
            yield f"'{where}' leads out of the data root", (where,)
    bare = any(set(layout.folders_of(part.name)) & {".", ""} for part in mine)
    if layout.kind in ("folders", "flat") and bare and "." in layout.at and not (own_root or made.root):
        yield "the whole data root is no layout: 'at' or 'folder' must name something", ("at",)
    if layout.kind == "package" and not layout.sha256:
        yield "what ships needs its sha256", ("name",)
    if "part" in layout.columns and not layout.take:
        yield "a part column needs 'take', which says what it holds for each part", ("columns",)


def _twice(values: Sequence[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _is_key(made: Family, dotted: str, keys: Collection[str]) -> bool:
    """Whether a dotted key is one of the family's, e.g. "licence" or "parts.photo.images"."""
    first, *rest = dotted.split(".")
    if first not in keys:
        return False
    if first not in ("parts", "layouts") or not rest:
        return True
    kind, named = (Part, made.parts) if first == "parts" else (Layout, made.layouts)
    within, _, last = ".".join(rest).rpartition(".")
    whole = {one.name for one in named}
    return ".".join(rest) in whole or (within in whole and last in kind.__dataclass_fields__)
