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
from collections.abc import Callable, Iterator
from dataclasses import replace

from croftbench.data.scan.listing import Listing, Note, Occurrence, judge
from croftbench.data.scan.missing import SHARE, Failed, Missing, class_folders, has_list, moved, plain
from croftbench.data.scan.place import Absent, Fit, Place
from croftbench.data.scan.tree import join
from croftbench.data.scan.unclear import unexplained, unnamed
from croftbench.suites.families import SHIPPED, Part


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
    new = [*failed[len(missing.failed) :], *unexplained(missing), *unnamed(missing)]
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
            if not (missing.bases(place) and has_list(missing, place)):
                lower = (replace(place, at=at) for at in missing.around.within(place, place.at))
                yield from (one for one in lower if missing.bases(one) and has_list(missing, one))


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
        yield moved(place, *folders)


def _shorter(missing: Missing, failed: Failed) -> Iterator[Place]:
    """Step 2: without the part's folder; lists' images where a closer look found them."""
    for layout in missing.layouts:
        lists = layout.kind in ("list", "split-json")
        alone = len(missing.family.parts) == 1 or layout.parts == (missing.part.name,)
        if not (lists or (alone and layout.kind in ("folders", "flat"))):
            continue
        for place in missing.places(layout):
            if missing.bases(place) or not has_list(missing, place):
                continue
            if layout.kind == "folders" and missing.part.members:
                likely = missing.around.matching(place.at, missing.classes(layout)) >= SHARE
            else:  # what ships is there for anyone: look for images before all of it is read
                below = [join(place.at, name) for name in missing.around.inside(place.at)]
                free = [folder for folder in (place.at, *below) if folder not in missing.taken]
                ships = any(name.startswith(SHIPPED) for name in layout.files_of(missing.part.name))
                likely = not ships or any(map(missing.around.has_images, free))
            if likely:
                yield moved(place, place.at)
    for place, absent in failed:  # which grows meanwhile
        if absent.instead is not None and f"{absent.instead}/".startswith(f"{place.at}/".lstrip("/")):
            yield moved(place, absent.instead)


def _only_named(missing: Missing, place: Place) -> bool:
    """Whether a folder has but the name of a set, which others use too: then all images must be there."""
    inside, name = place.layout.folders_of(missing.part.name), place.layout.name
    dropped = inside == (".",) and all(
        one.folders_of(missing.part.name) != inside for one in missing.layouts if one.name == name
    )
    return dropped and place.layout.kind in ("folders", "flat") and not missing.around.is_declared(place)


def _renamed(missing: Missing, _: Failed) -> Iterator[Place]:
    """Step 3: class folders by other words."""
    for place in class_folders(missing):
        for like in (*(one for one in missing.layouts if one.kind == "folders"), *plain(missing, place)):
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
    classes = [missing.classes(one) for one in plain(missing, place)]
    for name in {name for base in missing.bases(place) for name in missing.around.inside(base)}:
        first, _, rest = re.sub(r"[-_. ]+", " ", name, count=1).partition(" ")
        meant = {position for one in classes for text in (first, rest) if (position := one.position(text)) >= 0}
        if len(meant) == 1 and rest:
            known[name] = family.ids[meant.pop()]
    share = len(known) / max(1, sum(len(missing.around.inside(base)) for base in missing.bases(place)))
    return known if share >= SHARE else {}
