"""Folders of a data root that a layout may mean although it does not name them so. Looks at few, and fails on none."""

from __future__ import annotations

from collections.abc import Iterator

from croftbench.data.scan.class_names import Classes
from croftbench.data.scan.place import Absent, Place, is_image
from croftbench.data.scan.tree import Tree, is_clutter, join, letters
from croftbench.suites.families import Part

DEPTH = 3
"""Folders that may lie between a layout's folder and a part's, or a part's and its classes'."""

SEEN = 3
"""Class folders that are looked into for an image."""


class Around:
    """The folders of a data root near its top, see `Tree.shallow`."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._ats: dict[tuple[str, ...], list[str]] = {}

    def ats(self, patterns: tuple[str, ...]) -> list[str]:
        """What a layout's `at` may mean: as declared, below other folders, or around the data root; "." means none."""
        if patterns not in self._ats:
            found = [folder for pattern in patterns for folder in self._meant(pattern)]
            self._ats[patterns] = list(dict.fromkeys(found))
        return self._ats[patterns]

    def _meant(self, pattern: str) -> Iterator[str]:
        given = [step for step in pattern.split("/") if step != "."]
        steps = list(map(letters, given))
        yield from self._matched(pattern) if given else ()
        if not all(steps):
            return
        alike = self.tree.near_top.get(steps[-1], ()) if steps else ()
        yield from (folder for folder in alike if list(map(letters, folder.split("/")))[-len(steps) :] == steps)
        for root in (self.tree.root.absolute(), self.tree.root.resolve()):
            here = list(map(letters, root.parts))
            for i in range(1, len(steps) + 1):
                if here[-i:] == steps[:i]:
                    yield from self._matched("/".join(given[i:]))

    def holding(self, name: str) -> list[str]:
        """The folders that a folder of that name lies in."""
        return [folder.rpartition("/")[0] for folder in self.tree.near_top.get(letters(name), ())]

    def is_declared(self, place: Place) -> bool:
        """Whether a layout is met where its manifest has it."""
        return any(place.at in self._matched(pattern) for pattern in place.layout.at)

    def _matched(self, pattern: str) -> list[str]:
        try:
            return self.tree.match(pattern)
        except OSError:
            return []

    def bases(self, place: Place, part: Part) -> list[str]:
        """The folders of a part's images, or its shards; none where there is none."""
        shards = {"webdataset": ".tar", "parquet": ".parquet"}.get(place.layout.kind)
        try:
            return place.shards(part, shards) if shards else place.bases(part)
        except (Absent, OSError):
            return []

    def within(self, place: Place, folder: str) -> Iterator[str]:
        """The folders below one, nearest first and not too deep, without those that a layout ignores."""
        skip = len(folder) + 1 if folder else 0
        for below, _ in self.tree.shallow(folder):
            steps = below[skip:].split("/")
            if below != folder and len(steps) <= DEPTH and not any(map(place.ignores, steps)):
                yield below

    def matching(self, folder: str, classes: Classes) -> float:
        """The share of a folder's folders that are classes."""
        names = self.inside(folder)
        return sum(classes.position(name) >= 0 for name in names) / len(names) if names else 0.0

    def inside(self, folder: str) -> list[str]:
        """The names of a folder's folders, without clutter."""
        try:
            return [name for name in self.tree.names(folder).folders if not is_clutter(name)]
        except OSError:
            return []

    def has_images(self, folder: str) -> bool:
        """Whether there are images in a folder."""
        try:
            return any(map(is_image, self.tree.names(folder).files))
        except OSError:
            return False

    def holds_images(self, folder: str) -> bool:
        """Whether there are images in a folder's first folders."""
        return any(self.has_images(join(folder, name)) for name in self.inside(folder)[:SEEN])
