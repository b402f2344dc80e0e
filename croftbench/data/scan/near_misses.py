"""A list is there and none of its images are: where they lie, or what lies in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from croftbench.data.scan.own import confirm
from croftbench.data.scan.place import Absent, Collection, Fit, is_image
from croftbench.data.scan.tree import Tree, is_clutter, join
from croftbench.suites.families import SHIPPED
from croftbench.suites.registry import lines_of

TRIED = 6
"""Names of a list that are looked for, the first three among them."""

LOOKED = 300
"""Folders that are looked into for them."""


def none(collection: Collection) -> Absent:
    """Why not one image that lists name was taken; a closer look says where they may lie."""
    place, part = collection.place, collection.part
    file = " and ".join(dict.fromkeys(file for file, _, _ in collection.named)) or " and ".join(
        place.layout.files_of(part.name)
    )
    given = [path for _, path, _ in collection.named]
    counts = {note.what: note for note in collection.notes}
    if not given:
        return Absent(f"{file} names no image", near=True)
    if "missing-file" not in counts or counts["missing-file"].count < len(given):
        there = counts.get("unlabelled") or counts.get("excluded")
        return collection.nothing() if there is None else Absent(
            f"{there.count:,} images that {file} names are there, none of them under a class of {part.name}: "
            + ", ".join(there.examples[:3]),
            near=True,
        )  # fmt: skip
    bases = place.bases(part)
    where = " or ".join(base or "the data root" for base in bases)
    why = f"{file} names {len(given):,} images of {part.name}, none of them is in {where}: looked for "
    why += ", ".join(given[:3])
    images = any(map(is_image, (name for base in bases for name in place.tree.names(base).files)))
    fit = Fit.LIST if images or not file.startswith(SHIPPED) else Fit.FOLDER  # what ships is there for anyone
    return Absent(why, fit=fit, closer=lambda: _closer(collection, why, bases, given, fit))


def other_labels(collection: Collection) -> Absent | None:
    """Why lists' numbers of classes cannot be the layout's; None where they may be."""
    labels = {label for _, _, label in collection.named if label is not None}
    return _other_start(collection, "labels", labels) if labels else None


def other_folders(collection: Collection) -> Absent | None:
    """The same of class folders."""
    place, part = collection.place, collection.part
    names = {name for base in place.bases(part) for name in place.tree.names(base).folders}
    return _other_start(collection, "class folders", names)


def _other_start(collection: Collection, what: str, names: Iterable[str]) -> Absent | None:
    """Numbers that leave the layout's range at one end, by one, and do not reach the other: counted from elsewhere."""
    place, part, layout = collection.place, collection.part, collection.place.layout
    numbers = _whole(names)
    known = _whole(layout.aliases)
    if layout.key == "index":
        count = len(lines_of(place.family.lists / layout.order)) if layout.order else len(part.members)
        known = set(range(layout.first, layout.first + count))
    if not known or not numbers:
        return None
    low, high, first, last = min(numbers), max(numbers), min(known), max(known)
    why = f"the {what} run from {low} to {high}, {layout.name} counts classes from {first} to {last}"
    if low > last or high < first:
        return Absent(why, near=True)
    if not (high == last + 1 and low > first) and not (low == first - 1 and high < last):
        return None
    shift = 1 if low > first else -1
    aliases = {str(int(name) + shift) if _whole([name]) else name: key for name, key in layout.aliases.items()}
    say = confirm(place.family, part.name, replace(layout, first=layout.first + shift, aliases=aliases), place.at)
    return Absent(f"{why}; if yours start at {first + shift}, {say}", near=True)


def _whole(names: Iterable[str]) -> set[int]:
    return {int(name) for name in names if name.isascii() and name.isdigit()}


# -------------------------------------------------------------------------------- a closer look


def _closer(collection: Collection, why: str, bases: Sequence[str], given: Sequence[str], fit: Fit) -> Absent:
    place = collection.place
    finder = _Finder(place.tree, place.at, bases)
    for path in dict.fromkeys([*given[:3], *given[:: max(1, len(given) // TRIED)]]):
        wanted = re.sub(r"^([A-Za-z]:)?(\./|/)+", "", path.replace("\\", "/"))
        if place.layout.extension and not is_image(wanted):
            wanted += place.layout.extension
        if (found := next(finder.find(wanted), None)) is not None:
            as_named = f"/{found}".endswith(f"/{wanted}")
            start = found[: len(found) - len(wanted)].rstrip("/") if as_named else None
            return Absent(f"{why}; '{path}' lies as {found} ({finder.differs(wanted, found)})", fit=fit, instead=start)
    held = next((image for base in bases for image in finder.images(base)), "")
    return Absent(f"{why}; " + (f"there is {held}" if held else "there is no image at all"), fit=fit)


class _Finder:
    """Looks for files that a name may mean: in another case, with another ending, in another folder."""

    def __init__(self, tree: Tree, at: str, bases: Sequence[str]) -> None:
        self.tree, self.at, self.bases = tree, at, bases
        ups = [up for base in bases for up in _ups(base)]
        downs = [join(base, name) for base in (*bases, at) for name in tree.names(base).folders if not is_clutter(name)]
        self.starts = list(dict.fromkeys([*bases, at, *ups, *downs[: LOOKED // 10]]))
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, wanted: str) -> Iterator[str]:
        """The likeliest first: below the folders nearby, then without the path's first folders, then anywhere."""
        steps = wanted.split("/")
        for i in range(max(1, len(steps) - 1)):
            for start in self.starts:
                yield from self._below(start, steps[i:])
        for start in dict.fromkeys([self.at, ""]):
            for folder, _ in self.tree.shallow(start, LOOKED):
                yield from self._below(folder, steps[-1:])

    def images(self, folder: str) -> Iterator[str]:
        """What a folder holds, or else the folders below it."""
        for below, names in self.tree.shallow(folder, LOOKED):
            yield from (join(below, name) for name in names.files if is_image(name))

    def differs(self, wanted: str, found: str) -> str:
        """What tells a file from the one that was looked for."""
        folder, _, name = found.rpartition("/")
        inside, _, last = wanted.rpartition("/")
        meant = [join(base, inside).rstrip("/") for base in self.bases]
        said = []
        if folder not in meant:
            same = folder.casefold() in [one.casefold() for one in meant]
            said.append("the case of a folder" if same else "another folder")
        if name != last:
            said.append("the case of its name" if name.casefold() == last.casefold() else "another ending")
        return " and ".join(said) or "which could not be read"

    def _below(self, start: str, steps: Sequence[str]) -> Iterator[str]:
        *folders, name = steps
        for folder in self.tree.match("/".join(folders), start):
            if folder not in self._stems:
                stems = self._stems[folder] = {}
                for file in filter(is_image, self.tree.names(folder).files):
                    stems.setdefault(_stem(file), []).append(file)
            alike = self._stems[folder].get(_stem(name), [])
            yield from (join(folder, file) for file in sorted(alike, key=lambda one: one != name))


def _stem(name: str) -> str:
    return (name.rpartition(".")[0] if is_image(name) else name).casefold()


def _ups(folder: str) -> Iterator[str]:
    """The folders that a folder lies in, up to the data root."""
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder
