"""Parts that no layout has as its manifest says: the one rule for folders more, folders less, and other names.

Layouts are tried again, and of these steps the first that finds a part is the last for it:

1. `at` below other folders, or around the data root; the part's folder below further ones, and the class folders too.
2. Without the part's folder, where that leaves no choice of parts; a list's images in the folder where they are.
3. Class folders called as other layouts of the data set call them, or by the classes' ids or names.

What is found so is noted as a guess. Two places that differ and would do equally well are refused, both by name, and
so are numbers that no layout of the data set explains. A refusal says what to write to have it read, see `own`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from croftbench.data.scan.around import Around
from croftbench.data.scan.class_names import Classes
from croftbench.data.scan.listing import Listing, Note, Notes, Occurrence, judge
from croftbench.data.scan.own import confirm
from croftbench.data.scan.place import Absent, Fit, Place
from croftbench.data.scan.tree import join, letters
from croftbench.suites.families import SHIPPED, Family, Layout, Part

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


def search(missing: Missing, look: Callable[[Place, Part], Listing]) -> Occurrence | None:
    """A part where a manifest does not say that it is, or why it cannot be taken; None where it seems to be nowhere."""
    part, failed = missing.part, list(missing.failed)
    tried = {_identity(place, part) for place, _ in failed}
    for step in (_renamed,) if missing.short else (_elsewhere, _shorter, _renamed):
        found: list[tuple[Place, Listing]] = []
        for place in step(missing, failed):
            if (identity := _identity(place, part)) in tried:
                continue
            tried.add(identity)
            try:
                listing = look(place, part)
                if judge(missing.family, part, listing).usable or not (missing.short or _only_named(missing, place)):
                    found.append((place, listing))
            except Absent as absent:
                failed.append((place, absent.at_a_closer_look()))
            except OSError:
                continue  # nobody said that it is there
        if found:
            return _chosen(missing, found)
    if missing.short:
        return None
    new = [*failed[len(missing.failed) :], *_unexplained(missing), *_unnamed(missing)]
    near = [(place, absent) for place, absent in new if absent.fit >= Fit.IMAGES]
    return _refused(missing, *max(near, key=lambda one: one[1].fit)) if near else None


def _identity(place: Place, part: Part) -> tuple[object, ...]:
    of = place.layout
    return of.name, of.kind, place.at, of.folders_of(part.name), of.key, of.order, of.first, tuple(of.aliases.items())


def _refused(missing: Missing, place: Place, absent: Absent) -> Occurrence:
    name = missing.part.name
    return Occurrence(place.family, place.layout, place.at, {}, {name: absent.why}, {name: absent.fit})


def _chosen(missing: Missing, found: list[tuple[Place, Listing]]) -> Occurrence:
    """The one place, or the one that is whole; of several, none."""
    family, part = missing.family, missing.part
    different = {frozenset(zip(one.located, one.labels.tolist(), strict=True)): (p, one) for p, one in reversed(found)}
    ranked = list(different.values())[::-1]
    best = [one for one in ranked if judge(family, part, one[1]).usable] or ranked
    place, listing = best[0]
    say = missing.confirm(place)
    if len(best) > 1:
        places = " or ".join(f"{_words(*one, part)} ({len(one[1]):,} images)" for one in best[:3])
        why = f"{family.split_id(part.name)} may be {places}, nothing says which; to take the first, {say}"
        return _refused(missing, place, Absent(why, near=True))
    note = Note("guess", 1, (f"{_words(place, listing, part)}; to confirm it, {say}",))
    return Occurrence(
        family, place.layout, place.at, {part.name: replace(listing, notes=(note, *listing.notes))}, {}
    )  # fmt: skip


def _words(place: Place, listing: Listing, part: Part) -> str:
    """What is taken, and how its classes are."""
    by = f", class folders by {'number' if place.layout.key == 'index' else place.layout.key}"
    return (listing.base or "the data root") + (by if place.layout.kind == "folders" and part.members else "")


# --------------------------------------------------------------------------------------- the steps


def _elsewhere(missing: Missing, _: Failed) -> Iterator[Place]:
    """Step 1: each layout at other folders, and with its part's folder further down."""
    for layout in missing.layouts:
        for place in missing.with_folder(layout):
            yield place
            yield from _below(missing, place)
        for place in missing.places(layout):
            if not (missing.bases(place) and _has_list(missing, place)):
                lower = (replace(place, at=at) for at in missing.around.within(place, place.at))
                yield from (one for one in lower if missing.bases(one) and _has_list(missing, one))


def _has_list(missing: Missing, place: Place) -> bool:
    """Whether the lists of a layout that has some are there."""
    names = [name for name in place.layout.files_of(missing.part.name) if not name.startswith(SHIPPED)]
    return all(place.tree.match_files(name, place.at) for name in names)


def _below(missing: Missing, place: Place) -> Iterator[Place]:
    """A layout of class folders with the part's folder further down, wherever classes are."""
    if place.layout.kind != "folders" or not missing.part.members:
        return
    classes, around = missing.classes(place.layout), missing.around
    lower = [
        [base]
        if around.matching(base, classes)
        else [f for f in around.within(place, base) if around.matching(f, classes)]
        for base in missing.bases(place)
    ]
    for folders in zip(*lower, strict=True) if len({*map(len, lower)}) == 1 else ():
        yield _moved(place, *folders)


def _moved(place: Place, *folders: str) -> Place:
    """The same layout, its images in those folders, which lie below `at` or are it."""
    inside = tuple(folder.removeprefix(place.at).lstrip("/") or "." for folder in folders)
    several = {part.name: inside for part in place.family.parts} if len(inside) > 1 else {}
    return replace(place, layout=replace(place.layout, folder=inside[0], folders=several))


def _shorter(missing: Missing, failed: Failed) -> Iterator[Place]:
    """Step 2: without the part's folder; lists' images where a closer look found them."""
    for layout in missing.layouts:
        lists = layout.kind in ("list", "split-json")
        alone = len(missing.family.parts) == 1 or layout.parts == (missing.part.name,)
        if not (lists or (alone and layout.kind in ("folders", "flat"))):
            continue
        for place in missing.places(layout):
            if missing.bases(place) or not _has_list(missing, place):
                continue
            by_class = layout.kind == "folders" and missing.part.members
            if not by_class or missing.around.matching(place.at, missing.classes(layout)) >= SHARE:
                yield _moved(place, place.at)
    for place, absent in failed:  # which grows meanwhile
        if absent.instead is not None and f"{absent.instead}/".startswith(f"{place.at}/".lstrip("/")):
            yield _moved(place, absent.instead)


def _only_named(missing: Missing, place: Place) -> bool:
    """Whether all that speaks for a folder is its name, which others use too; then all images must be there."""
    bare = place.layout.kind == "flat" and place.layout.folders_of(missing.part.name) == (".",)
    return bare and not missing.around.is_declared(place)


def _renamed(missing: Missing, _: Failed) -> Iterator[Place]:
    """Step 3: class folders by other words."""
    for place in _class_folders(missing):
        for like in (*(one for one in missing.layouts if one.kind == "folders"), *_plain(missing, place)):
            other = replace(place.layout, key=like.key, order=like.order, first=like.first, aliases=like.aliases)
            classes = missing.classes(other)
            if any(missing.around.matching(base, classes) >= SHARE for base in missing.bases(place)):
                yield replace(place, layout=other)
        joined = replace(place.layout, key="id", order="", first=0, aliases=_joined(missing, place))
        if joined.aliases:
            yield replace(place, layout=joined)


def _joined(missing: Missing, place: Place) -> dict[str, str]:
    """Folders called by a class's id, or a number, and its name -> the id: n02085620-Chihuahua, 007.Parakeet Auklet."""
    family, known = missing.family, {}
    classes = [missing.classes(one) for one in _plain(missing, place)]
    for name in {name for base in missing.bases(place) for name in missing.around.inside(base)}:
        first, _, rest = re.sub(r"[-_. ]+", " ", name, count=1).partition(" ")
        meant = {position for one in classes for text in (first, rest) if (position := one.position(text)) >= 0}
        if len(meant) == 1 and rest:
            known[name] = family.ids[meant.pop()]
    share = len(known) / max(1, sum(len(missing.around.inside(base)) for base in missing.bases(place)))
    return known if share >= SHARE else {}


def _plain(missing: Missing, place: Place) -> list[Layout]:
    """The classes' ids and, where they tell a place's classes apart, their names."""
    by_name = [] if _shared(missing, place) else [Layout("", "folders", key="name")]
    return [Layout("", "folders", key="id"), *by_name]


def _shared(missing: Missing, place: Place) -> str:
    """A class folder whose name two classes have; "" where there is none."""
    names = Counter(letters(missing.family.classnames[member]) for member in missing.part.members)
    folders = (name for base in missing.bases(place) for name in missing.around.inside(base))
    return next((name for name in folders if names[letters(name)] > 1), "")


# -------------------------------------------------------------------------------- what is only said


def _unexplained(missing: Missing) -> Failed:
    """Class folders that are numbers of nobody knows which classes, or names that two classes share."""
    part, said = missing.part, []
    order = f"`croftbench data describe {missing.family.split_id(part.name)}`"
    for place in _class_folders(missing):
        for base in missing.bases(place):
            names = missing.around.inside(base)
            numbers = sorted(int(name) for name in names if re.fullmatch(r"[0-9]+", name))
            why = ""
            if len(numbers) == len(names) and len(numbers) > 1:
                first, count = min(numbers[0], 1), len(part.members)
                why = f"the class folders of {base} are numbers, {numbers[0]} to {numbers[-1]}"
                why += ", and nothing says of which classes"
                if numbers[-1] - first < count:
                    say = missing.confirm(place, replace(place.layout, key="index", order="", first=first))
                    why += f"; if they count the {count} classes in the order of {order} from {first}, {say}"
                else:
                    why += f"; {part.name} has {count} classes, call the folders by their ids, see {order}"
            elif twin := _shared(missing, place):
                by_name = missing.classes(replace(place.layout, key="name", aliases={}))
                if missing.around.matching(base, by_name) >= SHARE:
                    why = f"the class folders of {base} are names, and two classes are called '{twin}'; "
                    why += f"call them by ids, see {order}"
            if why:
                said.append((place, Absent(why, near=True)))
    return said


def _unnamed(missing: Missing) -> Failed:
    """Class folders in a folder of another name, where it is not known which part they are."""
    said: Failed = []
    for layout in missing.layouts if missing.part.members else ():
        places = [place for place in missing.places(layout) if layout.kind == "folders" and not missing.bases(place)]
        if not places:
            continue  # before what takes longer
        classes = missing.classes(layout)
        for place in places:
            for folder in (place.at, *missing.around.within(place, place.at)):
                if missing.around.matching(folder, classes) >= SHARE and not _used(folder, missing.taken):
                    meant = join(place.at, layout.folders_of(missing.part.name)[0])
                    say = missing.confirm(_moved(place, folder))
                    why = f"{folder} holds class folders, and nothing says that they are {missing.part.name}"
                    said.append((place, Absent(f"{why}; if so, call it {meant}, or {say}", fit=Fit.IMAGES)))
    return said


def _class_folders(missing: Missing) -> Iterator[Place]:
    """Layouts of class folders at places that have the part's folder, with folders of images in it."""
    for layout in missing.layouts if missing.part.members else ():
        for place in missing.with_folder(layout) if layout.kind == "folders" else ():
            if any(map(missing.around.holds_images, missing.bases(place))):
                yield place


def _used(folder: str, others: frozenset[str]) -> bool:
    return any(f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/") for other in others)
