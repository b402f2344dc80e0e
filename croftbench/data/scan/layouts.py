"""Finding a family on disk: every layout that its manifest knows, at every place where that layout is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from croftbench.data.scan import contradictions
from croftbench.data.scan.folders import flat, folders, listed, split_json
from croftbench.data.scan.listing import Listing, Notes, Occurrence, judge
from croftbench.data.scan.place import Absent, Place
from croftbench.data.scan.shards import parquet, webdataset
from croftbench.data.scan.shipped import package
from croftbench.data.scan.tree import Tree
from croftbench.suites.families import Family, Kind, Layout, Part

SCANS: dict[Kind, Callable[[Place, Part], Listing]] = {
    "folders": folders,
    "flat": flat,
    "list": listed,
    "split-json": split_json,
    "webdataset": webdataset,
    "parquet": parquet,
    "package": package,
}


def occurrences(family: Family, where: Tree | Path | None) -> list[Occurrence]:
    """Every place where the family is, the best first: most parts complete, most images, then the manifest's order.

    A place without a part that can be read is among them, last, where its images seem to be there: `absent` says what
    is missing.

    Args:
        family: what to look for.
        where: the data root; None for what ships with the package alone.

    Raises:
        DataError: a shipped file is not the one that the manifest describes.
    """
    tree = where if isinstance(where, Tree) else Tree(where or Path())
    met: list[Occurrence] = []
    for layout in family.layouts:
        if layout.kind == "package":
            met.append(_look(Place(family, layout, "", tree)))
        elif where is not None:
            met += [_look(place) for place in _places(family, layout, tree)]
    return sorted((one for one in met if one.parts or one.near), key=_rank)


def _places(family: Family, layout: Layout, tree: Tree) -> list[Place]:
    """Where a layout may be; a folder that cannot be searched counts, for `_look` to say so."""
    matches: dict[str, None] = {}
    for pattern in layout.at:
        try:
            matches.update(dict.fromkeys(tree.match(pattern)))
        except OSError:
            matches[pattern] = None
    return [Place(family, layout, at, tree) for at in matches]


def _look(place: Place) -> Occurrence:
    """What one layout has at one place."""
    parts, absent, near = {}, {}, set()
    for part in place.family.parts:
        if not place.layout.has(part.name):
            continue
        try:
            parts[part.name] = SCANS[place.layout.kind](place, part)
        except Absent as none:
            absent[part.name] = none.why
            if none.near:
                near.add(part.name)
        except OSError as error:  # a folder or a list that may not be read
            absent[part.name] = f"{error.filename} cannot be read: {error.strerror}"
            near.add(part.name)
    notes = {name: Notes() for name in parts}
    for name in parts:
        contradictions.namesakes(place.family, place.family.part(name).members, notes[name])
    contradictions.shared(place.layout, parts, notes)
    noted = {name: replace(listing, notes=(*listing.notes, *notes[name])) for name, listing in parts.items()}
    return Occurrence(place.family, place.layout, place.at, noted, absent, frozenset(near))


def _rank(one: Occurrence) -> tuple[int, int]:
    """For sorting; `sorted` keeps the manifest's order among equals."""
    usable = sum(judge(one.family, one.family.part(name), part).usable for name, part in one.parts.items())
    return -usable, -sum(map(len, one.parts.values()))
