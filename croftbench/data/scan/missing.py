"""A part that is nowhere, and what is asked of the folders around: shared by the search and by what it only says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from croftbench.data.scan.around import Around
from croftbench.data.scan.class_names import Classes
from croftbench.data.scan.listing import Notes
from croftbench.data.scan.own import confirm
from croftbench.data.scan.place import Absent, Place
from croftbench.data.scan.tree import letters
from croftbench.suites.families import Family, Layout, Part

SHARE = 0.3
"""The share of folders that must be classes for a guess: ObjectNet's 113 of 313 are, one chair in VLCS is not."""

Failed = list[tuple[Place, Absent]]


@dataclass(frozen=True)
class Missing:
    """A part that is nowhere.

    Attributes:
        family, part: what it is.
        around: the data root.
        failed: the places of its layouts, and why it is not there.
        taken: folders that other parts' images were found in.
        short: whether some of it was found, so that only all of it is worth a guess.
    """

    family: Family
    part: Part
    around: Around
    failed: Failed
    taken: frozenset[str]
    short: bool = False

    @property
    def layouts(self) -> list[Layout]:
        """Those that have the part."""
        return [one for one in self.family.layouts if one.has(self.part.name) and one.kind != "package"]

    def places(self, layout: Layout) -> list[Place]:
        """Wherever a layout may be, by the name of its own folder or of the set's archive."""
        archives = tuple(one.file.partition(".tar")[0].removesuffix(".zip") for one in self.family.archives)
        ats = dict.fromkeys([*self.around.ats(layout.at), *self.around.ats(archives)])
        return [Place(self.family, layout, at, self.around.tree) for at in ats]

    def with_folder(self, layout: Layout) -> list[Place]:
        """The same, and wherever the part's folder is for those that lie in the data root; only where it is."""
        first = {folder.partition("/")[0] for folder in layout.folders_of(self.part.name)} - {"."}
        anywhere = [at for step in first for at in self.around.holding(step)] if "." in layout.at else []
        more = [Place(self.family, layout, at, self.around.tree) for at in dict.fromkeys(anywhere)]
        return [place for place in (*self.places(layout), *more) if self.bases(place)]

    def bases(self, place: Place) -> list[str]:
        """The folders, or shards, of the part's images."""
        return self.around.bases(place, self.part)

    def classes(self, layout: Layout) -> Classes:
        return Classes(self.family, self.part, layout, Notes())

    def confirm(self, place: Place, layout: Layout | None = None) -> str:
        """What a user would write to have that place read, in its own or another layout."""
        return confirm(self.family, self.part.name, layout or place.layout, place.at)


def moved(place: Place, *folders: str) -> Place:
    """The same layout, its images in those folders, which lie below `at` or are it."""
    inside = tuple(folder.removeprefix(place.at).lstrip("/") or "." for folder in folders)
    several = {part.name: inside for part in place.family.parts} if len(inside) > 1 else {}
    return replace(place, layout=replace(place.layout, folder=inside[0], folders=several))


def has_list(missing: Missing, place: Place) -> bool:
    """Whether the lists of a layout that has some are there."""
    try:
        return place.lists(missing.part) is not None
    except Absent:
        return False


def plain(missing: Missing, place: Place) -> list[Layout]:
    """The classes' ids and, where they tell a place's classes apart, their names."""
    by_name = [] if shared(missing, place) else [Layout("", "folders", key="name")]
    return [Layout("", "folders", key="id"), *by_name]


def shared(missing: Missing, place: Place) -> str:
    """A class folder whose name two classes have; "" where there is none."""
    names = Counter(letters(missing.family.classnames[member]) for member in missing.part.members)
    folders = (name for base in missing.bases(place) for name in missing.around.inside(base))
    return next((name for name in folders if names[letters(name)] > 1), "")


def class_folders(missing: Missing) -> Iterator[Place]:
    """Layouts of class folders at places that have the part's folder, with folders of images in it."""
    for layout in missing.layouts if missing.part.members else ():
        for place in missing.with_folder(layout) if layout.kind == "folders" else ():
            if any(map(missing.around.holds_images, missing.bases(place))):
                yield place
