"""Which classes a seed makes known, and what an image's own label means to a classifier of these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from croftbench.data.scan.shipped import Row
from croftbench.draw.splits import UNKNOWN
from croftbench.errors import DataError
from croftbench.suites.families import Family
from croftbench.suites.language import ClassDraw

OUTSIDE = -2
"""Label of an image that is of no class of the fold, known or unknown."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Classes:
    """The classes of a fold.

    Attributes:
        known: class keys (ids, or values of a table's column) in label order.
        unknown: the others.
        names: what a key is called.
        match: what makes an image's class one of these: its "id" or its "name".
    """

    known: tuple[str, ...]
    unknown: tuple[str, ...]
    names: Mapping[str, str]
    match: str = "id"

    def named(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Names to prompt with."""
        return tuple(self.names.get(key, key) for key in keys)

    def label(self, key: str, name: str) -> int:
        """Label of a class: of a known one, UNKNOWN, or OUTSIDE."""
        if self.match == "name":
            return self._by_name.get(name, OUTSIDE)
        return self._by_key.get(key, OUTSIDE)

    def labels_of(self, family: Family) -> Ints:
        """(classes + 1,) label of each class of a family; the last, which -1 finds, is for images without one."""
        labels = [self.label(key, name) for key, name in zip(family.ids, family.classnames, strict=True)]
        return np.array([*labels, OUTSIDE], dtype=np.int64)

    def labels_in(self, table: Sequence[Row], draw: ClassDraw) -> Ints:
        """(N,) label of each row of a shipped table."""
        return np.array([self._by_key.get(key, OUTSIDE) for key in draw.of(table)], dtype=np.int64)

    @cached_property
    def _by_key(self) -> dict[str, int]:
        return dict.fromkeys(self.unknown, UNKNOWN) | {key: i for i, key in enumerate(self.known)}

    @cached_property
    def _by_name(self) -> dict[str, int]:
        labels = dict.fromkeys(self.named(self.unknown), UNKNOWN)
        for label, name in reversed([*enumerate(self.named(self.known))]):
            labels[name] = label  # of two known classes with one name, the first
        return labels


def choose(
    draw: ClassDraw, keys: Sequence[str], names: Mapping[str, str], listed: Sequence[str], stream: np.random.RandomState
) -> Classes:
    """The known and unknown ones among `keys`; the permutation is drawn from the stream whatever the kind of draw.

    Args:
        draw: how to choose.
        keys: every class, in the family's order.
        names: what a key is called.
        listed: the keys of `draw.list`.
        stream: the seed's.

    Raises:
        DataError: there are fewer classes than shall be known.
    """
    permuted = [keys[i] for i in stream.permutation(len(keys))]
    wanted = draw.count(len(keys))
    if wanted > len(keys):
        raise DataError(f"{wanted} of {len(keys)} classes shall be known.", "Lower `known` in the suite's [classes].")
    chosen = {"random": permuted, "list": listed}.get(draw.draw, keys)
    known = list(listed if draw.draw == "list" else chosen[:wanted])
    if draw.order == "list":
        place = {key: i for i, key in enumerate(keys)}
        known.sort(key=place.__getitem__)
    inside = set(known)
    return Classes(tuple(known), tuple(key for key in keys if key not in inside), names, draw.match)


def of_family(draw: ClassDraw, family: Family, parts: Sequence[str], listed: Sequence[str], seed: int) -> Classes:
    """The classes of a fold, which are those of some parts of a family (see `FoldSpec.class_splits`)."""
    members = sorted({member for part in parts for member in family.part(part).members})
    keys = [family.ids[i] for i in members]
    names = dict(zip(family.ids, family.classnames, strict=True))
    return choose(draw, keys, names, listed, np.random.RandomState(seed))


def of_table(
    draw: ClassDraw, table: Sequence[Row], suite: str, stream: np.random.RandomState
) -> tuple[Classes, dict[str, list[str]]]:
    """The classes of a shipped table, and the objects of each.

    Raises:
        DataError: a class that the suite names has no image.
    """
    objects: dict[str, set[str]] = defaultdict(set)
    rows = [row for row in table if row.group in draw.groups]
    for key, row in zip(draw.of(rows), rows, strict=True):
        objects[key].add(row.name)
    for key in draw.names:
        if key not in objects:
            raise DataError(f"suite '{suite}': class '{key}' has no image.", "Check its [classes.names].")
    for key, members in draw.members.items():
        if absent := sorted(set(members) - objects[key]):
            raise DataError(f"suite '{suite}': '{absent[0]}' has no image.", "Check its [classes.members].")
    keys = sorted(
        key
        for key, names in objects.items()
        if (not draw.names or key in draw.names) and len(names) >= draw.min_objects
    )
    candidates = sorted(draw.members) or keys
    chosen = choose(draw, candidates, draw.names, (), stream)
    alone = tuple(key for key in keys if key not in draw.members) if draw.members else ()
    chosen = replace(chosen, unknown=(*chosen.unknown, *alone))
    return chosen, {key: sorted(names) for key, names in objects.items()}
