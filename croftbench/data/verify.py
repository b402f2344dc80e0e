"""Comparing what lies on the disk with what a manifest expects; on request, every image is decoded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from croftbench.data.decoding import PictureError, decode, quiet
from croftbench.data.roots import Roots
from croftbench.data.scan.listing import Listing, Note, Verdict, judge
from croftbench.data.scan.place import Fit
from croftbench.errors import DataError
from croftbench.progress import Progress
from croftbench.suites.families import Family, Part

BATCH = 64
"""Images a thread decodes before it takes the next."""


@dataclass(frozen=True)
class ClassCount:
    """How many images of a class there are, and should be (-1: nobody knows)."""

    id: str
    name: str
    images: int
    expected: int


@dataclass(frozen=True)
class Checked:
    """A split in one of the places where it was found.

    Attributes:
        layout, at: how and where, below the data root.
        images: how many.
        verdict: how they compare with the manifest.
        classes: every class of the split.
        notes: what was noticed while scanning.
        digest: SHA-256 of its sorted paths; `recorded` says how it compares with the manifest's.
        recorded: None where the manifest has none.
        decoded: how many images were opened.
        unreadable: path and reason of those that could not be.
        remarks: what other loaders may do differently with some of them -> how many (see `decoding`).
    """

    layout: str
    at: str
    images: int
    verdict: Verdict
    classes: tuple[ClassCount, ...]
    notes: tuple[Note, ...]
    digest: str
    recorded: bool | None
    decoded: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()
    remarks: Mapping[str, int] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether a run may use it."""
        return self.verdict.usable and not self.unreadable


@dataclass(frozen=True)
class Report:
    """A split in all places where it was found, the one that runs take first.

    Attributes:
        failed: "layout in folder: why" of places that seem to hold it and where something is missing, of the
            layouts that fit best.
    """

    split: str
    family: Family
    part: Part
    places: tuple[Checked, ...]
    failed: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether runs can use the split as it is."""
        return bool(self.places) and self.places[0].sound

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "split": self.split,
            "usable": self.sound,
            "expected": self.part.images,
            "failed": list(self.failed),
            "places": [
                {
                    "layout": place.layout,
                    "at": place.at,
                    "state": place.verdict.state,
                    "message": place.verdict.message,
                    "images": place.images,
                    "digest": place.digest,
                    "digest_as_recorded": place.recorded,
                    "classes": [vars(one) for one in place.classes],
                    "notes": [{"what": n.what, "count": n.count, "examples": list(n.examples)} for n in place.notes],
                    "decoded": place.decoded,
                    "unreadable": [{"path": path, "why": why} for path, why in place.unreadable],
                    "remarks": dict(place.remarks),
                }
                for place in self.places
            ],
        }


@dataclass(frozen=True)
class Verified:
    """Splits of one family that were compared with their manifest.

    Attributes:
        reports: one a split.
        data: where they were looked for; None for the package.
    """

    reports: tuple[Report, ...]
    data: Path | None

    def to_dict(self) -> list[dict[str, Any]]:
        """As JSON data."""
        return [report.to_dict() for report in self.reports]

    @property
    def fault(self) -> DataError | None:
        """The one line that names the first split at fault, and the next step; None where all can be used."""
        bad = [report for report in self.reports if not report.sound]
        if not bad:
            return None
        first, family = bad[0], bad[0].family
        more = f" ({len(bad)} of {len(self.reports)} splits fall short)" if len(self.reports) > 1 else ""
        if not first.places and not first.failed:
            return DataError(f"{first.split} is not in {self.data}{more}.", f"`croftbench data get {family.name}`")
        if not first.places:
            return DataError(f"{first.split} cannot be used{more}: {first.failed[0]}.", f"See {family.homepage}")
        best = first.places[0]
        if best.unreadable:
            images = "1 image" if len(best.unreadable) == 1 else f"{len(best.unreadable):,} images"
            return DataError(
                f"{images} of {first.split} cannot be decoded{more}, {best.unreadable[0][0]} first.",
                "Replace them from the original archive, then verify again.",
            )
        return DataError(
            f"{first.split} is incomplete{more}: {best.verdict.message}.",
            f"Add what is missing from {family.homepage}, or run with --allow-incomplete, which is recorded.",
        )


def verify(roots: Roots, family: Family, parts: Iterable[Part], progress: Progress, *, deep: bool = False) -> Verified:
    """Compare splits of a family with their manifest, wherever they are found.

    Args:
        roots: where to look.
        family: the splits'.
        parts: the splits.
        progress: told of decoded images.
        deep: decode every image of the places that runs take.

    Raises:
        DataError: a folder cannot be read.
    """
    return Verified(tuple(_report(roots, family, part, progress, deep) for part in parts), roots.root(family.name))


def _report(roots: Roots, family: Family, part: Part, progress: Progress, deep: bool) -> Report:
    split = family.split_id(part.name)
    best = roots.locate(split)
    scanned = sorted(roots.occurrences(family.name), key=lambda one: best is None or one is not best.occurrence)
    places = [
        _checked(family, part, one.layout.name, one.at, one.parts[part.name])
        for one in scanned
        if part.name in one.parts
    ]
    if deep and best is not None:
        read = roots.reader(family.name)
        bad, remarks = _decoded(read, best.paths, split, progress)
        remarks = {} if family.shipped else remarks
        places[0] = replace(places[0], decoded=len(best.paths), unreadable=bad, remarks=remarks)
    near = {one.near[part.name] for one in scanned if part.name in one.near}
    fit = max(near, default=Fit.NOTHING)
    failed = tuple(
        f"{one.layout.name} in {one.at or '.'}: {one.absent[part.name]}"
        for one in scanned
        if one.near.get(part.name) == fit and (fit >= Fit.IMAGES or not places)
    )
    return Report(split, family, part, tuple(places), failed)


def _checked(family: Family, part: Part, layout: str, at: str, listing: Listing) -> Checked:
    expected = part.counts or (-1,) * len(part.members)
    classes = tuple(
        ClassCount(family.ids[member], family.classnames[member], has, wanted)
        for member, has, wanted in zip(part.members, listing.per_class(part), expected, strict=True)
    )
    recorded = None if not part.digest else part.digest == listing.digest
    verdict = judge(family, part, listing)
    return Checked(layout, at, len(listing), verdict, classes, listing.notes, listing.digest, recorded)


def _decoded(
    read: Callable[[str], bytes], paths: Sequence[str], name: str, progress: Progress
) -> tuple[tuple[tuple[str, str], ...], Mapping[str, int]]:
    """Path and reason of every image that cannot be decoded, in order, and remarks on the others with their number."""

    def found(start: int) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(path, *_opened(read, path)) for path in paths[start : start + BATCH]]

    unreadable: list[tuple[str, str]] = []
    counted: Counter[str] = Counter()
    progress.stage(f"decoding {name}", len(paths))
    with quiet(), ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as threads:
        try:
            for batch in threads.map(found, range(0, len(paths), BATCH)):
                unreadable += [(path, why) for path, why, _ in batch if why]
                counted.update(remark for _, _, remarks in batch for remark in remarks)
                progress.advance(len(batch))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # Ctrl-C need not wait for a million images
    return tuple(unreadable), dict(counted)


def _opened(read: Callable[[str], bytes], path: str) -> tuple[str, tuple[str, ...]]:
    """Why an image cannot be used, "" if it can, and remarks on it."""
    try:
        return "", decode(read(path), path).remarks
    except PictureError as error:
        return error.why, ()
    except DataError as error:
        return error.message, ()
