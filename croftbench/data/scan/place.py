"""One layout at one folder of the data root: what every kind of scan starts from, and how it says that none is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import IntEnum
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path

import numpy as np

from croftbench.data.scan.class_names import Classes
from croftbench.data.scan.listing import Listing, Notes
from croftbench.data.scan.tree import Tree, is_clutter, join
from croftbench.suites.families import SHIPPED, Family, Layout, Part
from croftbench.suites.registry import rows_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings, in any case, of files that are taken for images."""


NAMESAKES = 50
"""Folders that are looked into for a list that is not where it belongs."""


class Fit(IntEnum):
    """How much of a layout is there when a part cannot be read in it; of several, the best fitting says why."""

    NOTHING = 0
    FOLDER = 1
    """A folder of that name, with nothing of the part in it."""
    OTHERS = 2
    """The folder, with images of other classes. From here on a user wants to know what is missing."""
    IMAGES = 3
    """The folder, but not the file that says what is in it."""
    BESIDE = 4
    """The same, and the folder that the file belongs into."""
    LIST = 5
    """All but what the file names, or shards that cannot be read."""
    SAID = 6
    """The user says that it is here."""


class Absent(Exception):  # noqa: N818  # not an error: most layouts are not on most disks
    """A part is not here.

    Attributes:
        why: one line.
        fit: how much of the layout is here all the same.
        closer: what a closer look says, which takes longer.
        instead: the folder below the data root in which the images that a list names do lie; None where in none.
    """

    def __init__(
        self, why: str, near: bool = False, fit: Fit | None = None, closer: Callable[[], Absent] | None = None,
        instead: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(why)
        self.why, self.closer, self.instead = why, closer, instead
        self.fit = fit if fit is not None else Fit.LIST if near else Fit.NOTHING

    def at_a_closer_look(self) -> Absent:
        """The same, or what a closer look says."""
        try:
            return self if self.closer is None else self.closer()
        except OSError:
            return self


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
            found = inside or self.tree.match_files(pattern, self.at)
            shards += [f for f in found if f.endswith(suffix) and not is_clutter(f.rpartition("/")[2])]
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
        around = ["", *accumulate(self.at.split("/")[:-1], join)]  # the data root, or a folder that holds both
        others = [folder for up in around for pattern in self.layout.file_in for folder in self.tree.match(pattern, up)]
        for folder in (self.at, *others):
            if matches := self.tree.match_files(name, folder):
                return matches[0]
        *steps, last = name.split("/")
        beside = len(steps) > 0 and self.tree.match("/".join(steps), self.at) != [] and ".." not in steps
        fit = Fit.BESIDE if beside else Fit.IMAGES
        raise Absent(f"{join(self.at, name)} is missing{self._namesake(last)}", fit=fit)

    def _namesake(self, name: str) -> str:
        """Where a file lies that is missing where it belongs, or one that is almost called so."""
        like = ""
        for folder, names in self.tree.shallow(self.at, NAMESAKES):
            if name in names.files:
                return f"; there is {join(folder, name)}"
            close = get_close_matches(name, [one for one in names.files if not is_clutter(one)], n=1, cutoff=0.85)
            like = like or (f"; there is {join(folder, close[0])}" if close else "")
        return like

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
    named: list[tuple[str, str, str | None]] = field(default_factory=list)
    """File, path and label of each image that a list names, as it has them."""

    def __post_init__(self) -> None:
        self.classes = Classes(self.place.family, self.part, self.place.layout, self.notes)

    def nothing(self) -> Absent:
        """Why the collection is empty."""
        where = self.base or "the data root"
        for note in self.notes:
            some = ", ".join(note.examples[:3])
            if note.what == "excluded":
                return Absent(f"all {note.count:,} images in {where} are left out of {self.part.name}, {some} first")
            if note.what == "unknown-class":
                known = set(self.place.family.ids)
                others = not any(name.rpartition("/")[2] in known for name in note.examples)
                classes = ", ".join(self.place.family.ids[member] for member in self.part.members[:3])
                why = f"{where} holds {some}, which are no classes of {self.part.name} (as {classes} are)"
                return Absent(why, fit=Fit.OTHERS if others and self.place.at else Fit.FOLDER)
        return Absent(f"there are no images of {self.part.name} in {where}", fit=Fit.FOLDER)

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
            raise self.nothing()
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
