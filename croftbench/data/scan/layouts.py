"""Finding a family on disk: every layout that its manifest knows, at every place where that layout is met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from croftbench.data.scan import contradictions, own
from croftbench.data.scan.around import Around
from croftbench.data.scan.folders import flat, folders, listed, split_json
from croftbench.data.scan.listing import Listing, Notes, Occurrence, judge
from croftbench.data.scan.missing import Failed, Missing
from croftbench.data.scan.place import Absent, Fit, Place
from croftbench.data.scan.shapes import search
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
    declared = family if where is None else replace(family, layouts=(*own.layouts(family, tree), *family.layouts))
    met: list[Occurrence] = []
    failed: dict[str, Failed] = {part.name: [] for part in family.parts}
    for layout in declared.layouts:
        if layout.kind == "package":
            met.append(_look(Place(family, layout, "", tree), failed))
        elif where is not None:
            met += [_look(place, failed) for place in _places(family, layout, tree)]
    if where is not None and not family.shipped:
        met = _closer(family, met, failed, tree)
    return sorted((one for one in met if one.parts or one.near), key=_rank)


def _closer(family: Family, met: list[Occurrence], failed: Mapping[str, Failed], tree: Tree) -> list[Occurrence]:
    """The same, and for parts that are nowhere yet: better reasons, and what a search for other shapes finds."""
    around, taken, wanted = Around(tree), set[str](), []
    for part in family.parts:
        found = [one for one in met if part.name in one.parts]
        for one in found:
            if one.layout.kind in ("folders", "flat"):
                taken.update(around.bases(Place(family, one.layout, one.at, tree), part))
        if not any(judge(family, part, one.parts[part.name]).usable for one in found):
            wanted.append((part, bool(found)))
    for part, short in wanted:
        reasons = failed[part.name]
        if not short:
            reasons = [(place, absent.at_a_closer_look()) for place, absent in reasons]
            why = {(place.layout.name, place.layout.kind, place.at): absent for place, absent in reasons}
            met = [
                _said(one, part.name, why[key]) if (key := (one.layout.name, one.layout.kind, one.at)) in why else one
                for one in met
            ]
        if (other := search(Missing(family, part, around, reasons, frozenset(taken), short), _scan)) is not None:
            met.append(_noted(other))
    return met


def _said(one: Occurrence, part: str, absent: Absent) -> Occurrence:
    fit = Fit.SAID if isinstance(one.layout, own.Own) else absent.fit
    near = {**one.near, part: fit} if fit >= Fit.OTHERS else one.near
    return replace(one, absent={**one.absent, part: absent.why}, near=near)


def _places(family: Family, layout: Layout, tree: Tree) -> list[Place]:
    """Where a layout may be; a folder that cannot be searched counts, for `_look` to say so."""
    matches: dict[str, None] = {}
    for pattern in layout.at:
        try:
            matches.update(dict.fromkeys(tree.match(pattern)))
        except OSError:
            matches[pattern] = None
    return [Place(family, layout, at, tree) for at in matches]


def _look(place: Place, failed: Mapping[str, Failed]) -> Occurrence:
    """What one layout has at one place; why it lacks the other parts is added to `failed`."""
    parts: dict[str, Listing] = {}
    lacks: dict[str, Absent] = {}
    for part in place.family.parts:
        if not place.layout.has(part.name):
            continue
        try:
            parts[part.name] = _scan(place, part)
        except Absent as none:
            lacks[part.name] = none
        except OSError as error:  # a folder or a list that may not be read
            lacks[part.name] = Absent(f"{error.filename} cannot be read: {error.strerror}", near=True)
    made = Occurrence(place.family, place.layout, place.at, parts, {})
    for name, why in lacks.items():
        failed[name].append((place, why))
        made = _said(made, name, why)
    return _noted(made)


def _noted(one: Occurrence) -> Occurrence:
    """The same, with what its parts share."""
    notes = {name: Notes() for name in one.parts}
    for name in one.parts:
        contradictions.namesakes(one.family, one.family.part(name).members, notes[name])
    contradictions.shared(one.layout, one.parts, notes)
    parts = {name: replace(listing, notes=(*listing.notes, *notes[name])) for name, listing in one.parts.items()}
    return replace(one, parts=parts)


def _scan(place: Place, part: Part) -> Listing:
    return SCANS[place.layout.kind](place, part)


def _rank(one: Occurrence) -> tuple[int, int]:
    """For sorting; `sorted` keeps the manifest's order among equals."""
    usable = sum(judge(one.family, one.family.part(name), part).usable for name, part in one.parts.items())
    return -usable, -sum(map(len, one.parts.values()))
