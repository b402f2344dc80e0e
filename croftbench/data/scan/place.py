"""One layout at one folder of the data root: what every kind of scan starts from, and how it says that none is here."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from croftbench.data.scan.class_names import Classes
from croftbench.data.scan.listing import Listing, Notes
from croftbench.data.scan.tree import Tree, join
from croftbench.suites.families import SHIPPED, Family, Layout, Part
from croftbench.suites.registry import rows_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings, in any case, of files that are taken for images."""


class Absent(Exception):  # noqa: N818  # not an error: most layouts are not on most disks
    """A part is not here.

    Attributes:
        why: one line.
        near: whether its images seem to be here, so that a user wants to know what is missing.
    """

    def __init__(self, why: str, near: bool = False) -> None:
        super().__init__(why)
        self.why, self.near = why, near


@dataclass(frozen=True)
class Place:
    """A layout of a family at the folder `at` below the data root."""

    family: Family
    layout: Layout
    at: str
    tree: Tree

    def bases(self, part: Part) -> list[str]:
        """The folders of a part's images.

        Raises:
            Absent: there is none.
        """
        patterns = self.layout.folders_of(part.name)
        folders = [folder for pattern in patterns for folder in self.tree.match(pattern, self.at)]
        if not folders:
            raise Absent(f"there is no folder {' or '.join(join(self.at, p) for p in patterns)}")
        return list(dict.fromkeys(folders))

    def shards(self, part: Part, suffix: str) -> list[str]:
        """The files of a part's images: those that its pattern means, or all in the folder that it means.

        Raises:
            Absent: there is none.
        """
        patterns = self.layout.folders_of(part.name)
        shards: list[str] = []
        for pattern in patterns:
            folders = [] if pattern.endswith(suffix) else self.tree.match(pattern, self.at)
            inside = [join(folder, name) for folder in folders for name in self.tree.names(folder).files]
            shards += [name for name in inside or self.tree.match_files(pattern, self.at) if name.endswith(suffix)]
        if not shards:
            raise Absent(f"there is no file {' or '.join(join(self.at, p) for p in patterns)}")
        return sorted(shards, key=_by_number)

    def lists(self, part: Part) -> list[tuple[str, Path]]:
        """The lists that say what is in a part: what each is called, and where it is.

        Raises:
            Absent: one of them is not there.
        """
        lists = []
        for name in self.layout.files_of(part.name):
            if name.startswith(SHIPPED):
                lists.append((name, self.family.lists / name.removeprefix(SHIPPED)))
            else:
                path = self.file(name)
                lists.append((path, self.tree.root / path))
        return lists

    def file(self, name: str) -> str:
        """Where a file is that belongs to the layout: below `at`, or in one of the layout's further folders.

        Raises:
            Absent: in none of them.
        """
        others = [folder for pattern in self.layout.file_in for folder in self.tree.match(pattern)]
        for folder in (self.at, *others):
            if matches := self.tree.match_files(name, folder):
                return matches[0]
        raise Absent(f"{join(self.at, name)} is missing", near=True)

    def ignores(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.layout.ignore)


@dataclass
class Collection:
    """A listing being made: paths from the folder `base`, and their labels."""

    place: Place
    part: Part
    base: str
    notes: Notes = field(default_factory=Notes)
    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.classes = Classes(self.place.family, self.part, self.place.layout, self.notes)

    def listing(self) -> Listing:
        """What was collected, less what the part leaves out.

        Raises:
            Absent: nothing was.
        """
        labels = np.array(self.labels, dtype=np.int32)
        paths = self.paths
        if self.part.exclude:
            listed = {row.cells[0] for row in rows_of(self.place.family.lists / self.part.exclude)}
            skip = len(self.place.at) + 1 if self.place.at else 0
            out = [join(self.base, path)[skip:] in listed for path in paths]
            for path in (path for path, is_out in zip(paths, out, strict=True) if is_out):
                self.notes.add("excluded", path)
            paths = [path for path, is_out in zip(paths, out, strict=True) if not is_out]
            labels = labels[~np.array(out, dtype=bool)]
        if not paths:
            raise Absent(f"there are no images of {self.part.name} in {self.base or 'the data root'}")
        if self.classes:
            has = set(labels.tolist())
            for member in self.part.members:
                if member not in has:
                    self.notes.add("missing-class", self.place.family.ids[member])
        return Listing(self.part.name, self.base, tuple(paths), labels, tuple(self.notes))


def is_image(name: str) -> bool:
    """Whether a file is an image by its name; hidden files are not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _by_number(path: str) -> tuple[str, int, str]:
    """Shards by number: 10.tar comes after 9.tar."""
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return folder, int(stem) if stem.isascii() and stem.isdigit() else 0, name
