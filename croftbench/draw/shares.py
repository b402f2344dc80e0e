"""Which images of a part have which role, where one part plays several.

The recipe for "image" shares, the same for every seed: the images of each class in a part, sorted by file name, are
permuted by NumPy's RandomState seeded with the CRC-32 of "part/class id"; the first `round(train * n)` train, the next
`round(val * n)` validate, the rest test. It asks for nothing but the names of the files of that one class, so it gives
the same lists in every layout that keeps the published names, whatever else is on the disk. Shards (Parquet,
WebDataset) name images otherwise, and give others; a run records a digest of what was held out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from croftbench.suites.families import Family
from croftbench.suites.language import Shares

ROLES = ("train", "val", "test")
Roles = npt.NDArray[np.int8]
"""A position in `ROLES` for each image."""


def deal(count: int, shares: Shares, stream: np.random.RandomState) -> Roles:
    """The role of each of `count` sorted things."""
    train, val = round(shares.train * count), round(shares.val * count)
    roles = np.full(count, 2, dtype=np.int8)
    order = stream.permutation(count)
    roles[order[:train]], roles[order[train : train + val]] = 0, 1
    return roles


def of_images(part: str, class_id: str, names: Sequence[str], shares: Shares) -> Roles:
    """The role of each image of one class in one part; `names` are file names in any order."""
    order = sorted(range(len(names)), key=names.__getitem__)
    roles = np.empty(len(names), dtype=np.int8)
    roles[order] = deal(len(names), shares, np.random.RandomState(zlib.crc32(f"{part}/{class_id}".encode())))
    return roles


def written(family: Family, shares: Shares) -> list[str]:
    """The recipe's outcome for the published counts: part, class, number of images and which of them do not train, as
    positions in their sorted names.
    """
    lines = []
    for part in family.parts:
        for member, count in zip(part.members, part.counts, strict=True):
            names = [f"{i:09d}" for i in range(count)]
            held_out = np.flatnonzero(of_images(part.name, family.ids[member], names, shares)).tolist()
            lines.append(f"{part.name}\t{family.ids[member]}\t{count}\t{' '.join(map(str, held_out))}")
    return lines


def of_objects(
    objects: Mapping[str, Sequence[str]], known: Sequence[str], shares: Shares, stream: np.random.RandomState
) -> dict[str, int]:
    """Object -> role, for the objects of each known class."""
    roles: dict[str, int] = {}
    for key in sorted(known):
        names = sorted(objects[key])
        roles |= zip(names, deal(len(names), shares, stream).tolist(), strict=True)
    return roles
