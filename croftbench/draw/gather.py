"""Images of a suite's splits as columns: which there are, of which part and class, and the pool that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.data.scan.shipped import Row
from croftbench.draw.splits import Split
from croftbench.errors import DataError
from croftbench.suites.families import Family

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one family that are pooled together; row i of every column is image i of the pool.

    Each is equal to itself alone, and so can be looked up by.

    Attributes:
        pool: all of them.
        parts: (N,) position of each image's part in the family.
        labels: (N,) class, a position in the family's classes; -1 where there is none.
        table: what a shipped table says of each image; empty for others.
    """

    family: Family
    pool: Pool
    parts: Ints
    labels: Ints
    table: tuple[Row, ...] = ()

    def code(self, part: str) -> int:
        """What `parts` holds for a part."""
        return [p.name for p in self.family.parts].index(part)

    def domains(self, parts: Sequence[str]) -> Ints:
        """(N,) position of each image's part in `parts`, -1 where it is none of them."""
        lookup = np.full(len(self.family.parts), -1, dtype=np.int64)
        for position, part in enumerate(parts):
            lookup[self.code(part)] = position
        return lookup[self.parts]

    def name_of(self, row: int) -> str:
        """The name of an image's file."""
        return self.pool.paths[row].rsplit("/", 1)[-1]

    def class_of(self, row: int) -> str:
        """The id of an image's class; "" where it has none."""
        return self.family.ids[self.labels[row]] if self.labels[row] >= 0 else ""

    def but(self, rows: Ints, exclude: Sequence[str]) -> Ints:
        """Those of `rows` that are of none of these class ids or, in a shipped table, none of these objects.

        Raises:
            DataError: one is no object of the table.
        """
        if not exclude:
            return rows
        if not self.table:
            left_out = [self.family.ids.index(key) for key in exclude]
            return rows[~np.isin(self.labels[rows], left_out)]
        if absent := set(exclude).difference(row.name for row in self.table):
            raise DataError(f"'{min(absent)}' is no object of {self.family.name}.", "Check the suite's `exclude`.")
        return rows[[self.table[row].name not in exclude for row in rows]]

    def split(self, name: str, rows: Ints, labels: Ints, domains: Ints | None = None) -> Split:
        """The images at `rows` in one role; `labels` and `domains` are theirs."""
        where = np.zeros_like(rows) if domains is None else domains
        return Split(name, self.pool, tuple(rows.tolist()), tuple(labels.tolist()), tuple(where.tolist()))


@dataclass
class Gatherer:
    """Looks splits up, once each.

    Attributes:
        roots: where data are.
        allow_incomplete: take splits whose counts are not the manifest's.
        groups: of a shipped table that has any of these groups, the others are left out; nothing where it is empty.
        met: what every split that was looked up is on this disk: layout, digest and number of images, state,
            bytes of the files.
    """

    roots: Roots
    allow_incomplete: bool = False
    groups: frozenset[str] = frozenset()
    met: dict[str, dict[str, str | int]] = field(default_factory=dict)
    _made: dict[tuple[str, tuple[str, ...]], Images] = field(default_factory=dict)

    def images(self, family: Family, parts: Sequence[str]) -> Images:
        """The images of some parts, in the family's order of parts; a shipped table comes with all of its parts.

        Raises:
            DataError: a part is not there, or not complete; the message names the next command.
        """
        wanted = tuple(p.name for p in family.parts if family.shipped or p.name in parts)
        key = family.name, wanted
        if key not in self._made:
            self._made[key] = self._table(family) if family.shipped else self._files(family, wanted)
        return self._made[key]

    def _table(self, family: Family) -> Images:
        whole = self.roots.rows(family.name)
        rows = tuple(row for row in whole if row.group in self.groups) or whole
        code = {part.name: i for i, part in enumerate(family.parts)}
        parts = np.array([code[row.style] for row in rows], dtype=np.int64)
        pool = Pool(family.name, family.name, tuple(row.path for row in rows), family.content)
        return Images(family, pool, parts, np.full(len(rows), -1), rows)

    def _files(self, family: Family, parts: tuple[str, ...]) -> Images:
        paths: list[str] = []
        codes, labels = [], []
        for code, part in enumerate(family.parts):
            if part.name not in parts:
                continue
            split_id = family.split_id(part.name)
            located = self.roots.split(split_id)
            if not located.verdict.usable and not self.allow_incomplete:
                raise DataError(
                    f"{split_id} is incomplete: {located.verdict.message}.",
                    f"`croftbench data verify {split_id}` says what is missing; --allow-incomplete takes it as it is.",
                )
            listing = located.listing
            self.met[split_id] = {
                "layout": located.occurrence.layout.name, "digest": listing.digest, "images": len(listing),
                "state": located.verdict.state, "bytes": self.roots.size(split_id),
            }  # fmt: skip
            paths += listing.located
            codes.append(np.full(len(listing), code, dtype=np.int64))
            labels.append(listing.labels.astype(np.int64))
        name = family.name if len(parts) == len(family.parts) else f"{family.name}/{'+'.join(parts)}"
        pool = Pool(name, family.name, tuple(paths), family.content)
        return Images(family, pool, np.concatenate(codes), np.concatenate(labels))


def own_pool(split: Split) -> Split:
    """The same images in a pool of their own, so that no others are encoded with them."""
    paths = tuple(split.pool.paths[i] for i in split.rows)
    pool = Pool(f"{split.pool.name}/{split.name}", split.pool.table, paths, split.pool.content)
    return Split(split.name, pool, tuple(range(len(paths))), split.labels, split.domains, split.space)
