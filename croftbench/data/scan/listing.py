"""What a scan hands on: the images of a part, what was noticed on the way, and how that compares with the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from croftbench.data.scan.tree import join
from croftbench.suites.families import Family, Layout, Part, State

What = Literal[
    "guess",
    "stray",
    "ignored",
    "unknown-class",
    "missing-class",
    "renamed",
    "merged",
    "missing-file",
    "excluded",
    "unlabelled",
    "ambiguous",
    "repeated",
    "disagreeing",
    "namesake",
    "shared",
]

SAYS: Mapping[What, str] = {
    "guess": "guess of what no manifest says",
    "stray": "files that are no images, left out",
    "ignored": "known not to belong, left out",
    "unknown-class": "images or folders of no class of the part, left out",
    "missing-class": "classes without an image",
    "renamed": "names taken for a class's although spelt differently",
    "merged": "classes found under several names, joined",
    "missing-file": "images that the list names and that are not there",
    "excluded": "images that the part leaves out",
    "unlabelled": "images without a label, left out",
    "ambiguous": "names that several classes fit, left out",
    "repeated": "images that are listed twice, counted once",
    "disagreeing": "images in folders called after another class than their label says",
    "namesake": "classes that share their name, and so their prompt, with another",
    "shared": "images that another part's list has too",
}
"""What each kind of note counts."""

SHOWN = 5
"""Examples that a note keeps."""


@dataclass(frozen=True)
class Note:
    """Something noticed while scanning: how often, and the first few of them."""

    what: What
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count:,} {SAYS[self.what]}: {', '.join(self.examples)}{more}"


class Notes:
    """Notes being taken."""

    def __init__(self) -> None:
        self._counts: dict[What, int] = {}
        self._examples: dict[What, list[str]] = {}

    def add(self, what: What, example: str, count: int = 1) -> None:
        """Count something; the first few examples are kept."""
        self._counts[what] = self._counts.get(what, 0) + count
        kept = self._examples.setdefault(what, [])
        if len(kept) < SHOWN:
            kept.append(example)

    def __iter__(self) -> Iterator[Note]:
        return (Note(what, self._counts[what], tuple(self._examples[what])) for what in SAYS if what in self._counts)


@dataclass(frozen=True)
class Listing:
    """The images of one part as they lie on disk, in an order that does not depend on the machine.

    Attributes:
        part: its name.
        base: folder below the data root that the paths start from; "" is the root.
        paths: of the images; "shard.tar#member" and "file.parquet#row" where several share a file.
        labels: (N,) class of each image as a position in the family's classes, -1 where it has none.
        notes: what was noticed.
        attributes: further columns, for tables that ship: name, group, subgroup.
    """

    part: str
    base: str
    paths: tuple[str, ...]
    labels: npt.NDArray[np.int32]
    notes: tuple[Note, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def located(self) -> tuple[str, ...]:
        """The paths from the data root."""
        return tuple(join(self.base, path) for path in self.paths) if self.base else self.paths

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the sorted paths, a line each: of which images there are, wherever they lie."""
        lines = hashlib.sha256()
        for path in sorted(self.paths):
            lines.update(path.encode("utf-8", "surrogateescape") + b"\n")
        return lines.hexdigest()

    def per_class(self, part: Part) -> list[int]:
        """Number of images of each of the part's classes."""
        counts = np.bincount(self.labels[self.labels >= 0], minlength=max(part.members, default=-1) + 1)
        return [int(counts[member]) for member in part.members]


@dataclass(frozen=True)
class Occurrence:
    """A family met in one layout at one place.

    Attributes:
        at: the layout's folder below the data root; "" is the root.
        parts: what is there.
        absent: part -> why it was not read, one line.
        near: those of the absent whose images seem to be here all the same, and how much of the layout is, see `Fit`.
    """

    family: Family
    layout: Layout
    at: str
    parts: Mapping[str, Listing]
    absent: Mapping[str, str]
    near: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How a listing compares with its manifest.

    Attributes:
        state: "uncounted" where the manifest expects no number.
        message: one line for people.
    """

    state: State
    message: str

    @property
    def usable(self) -> bool:
        """Whether numbers measured on it are those of the split."""
        return self.state != "incomplete"


def judge(family: Family, part: Part, listing: Listing) -> Verdict:
    """Compare counts, as a whole and by class, with the manifest and the variants that it knows."""
    images = len(listing)
    if not part.images and not part.counts:
        return Verdict("uncounted", f"{images:,} images; no published count to compare with")
    expected = part.images or sum(part.counts)
    differing = [
        f"{family.ids[member]} {has:,} of {wanted:,}"
        for member, has, wanted in zip(part.members, listing.per_class(part), part.counts, strict=False)
        if has != wanted
    ]
    if images == expected and not differing:
        return Verdict("complete", f"{images:,} images")
    for variant in part.variants:
        if images == variant.images:
            return Verdict("variant", f"{images:,} images, a known variant: {variant.note}")
    where = f"; {_some(differing)}" if differing else ""
    return Verdict("incomplete", f"{images:,} of {expected:,} images{where}")


def _some(texts: Sequence[str]) -> str:
    rest = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {rest} more classes" if rest > 0 else "")
