"""The blocks of an entry that is not finished, shared out among the processes that fill it: each is encoded once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from croftbench import claims, leases
from croftbench.encoders import entry
from croftbench.files import digest
from croftbench.leases import Lease


def unfinished(paths: Sequence[Path]) -> Path:
    """The folder of the blocks that the entries at `paths` are joined from."""
    return paths[0].with_name(f"{digest([path.stem for path in paths])[:32]}.partial")


def together(paths: Sequence[Path]) -> list[int]:
    """Which of a pool's views to fill: those that are missing, and those that were made together with them. Another
    process may be joining these, or was killed as it did, and their blocks are of all of them.
    """
    missing = [view for view, path in enumerate(paths) if not path.exists()]
    for first in range(missing[0] if missing else 0):
        if unfinished(paths[first:]).is_dir():
            return list(range(first, len(paths)))
    return missing


class Blocks:
    """The blocks of some entries that are filled together, as a context, at whose end no block is ours.

    Args:
        paths: the entries.
        images: how many the pool has.
        size: images of a block; the last may have fewer.
        advance: told of images as their block is there, whoever made it.
    """

    def __init__(self, paths: Sequence[Path], images: int, size: int, advance: Callable[[int], object]) -> None:
        self.paths, self.images, self.size, self.advance = paths, images, size, advance
        self.starts = range(0, images, size)
        self.folder = unfinished(paths)
        self.lease = self.folder.with_suffix(leases.SUFFIX)
        self._todo: list[int] | None = None
        self._held: dict[int, Lease] = {}
        self._waiting: Iterator[None] | None = None

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *error: object) -> None:
        for lease in self._held.values():
            lease.release()
        self._held.clear()

    def block(self, start: int) -> Path:
        """Where a block is, or will be."""
        return self.folder / f"{start}.npy"

    def joined(self) -> bool:
        """Whether the entries are there."""
        return claims.there(self.paths[0]) and all(path.exists() for path in self.paths)

    def missing(self) -> list[int]:
        """Blocks that are not there; after a while, where others are making all of them."""
        if self._waiting is not None:
            next(self._waiting)
        before: Sequence[int]
        if self._todo is None:
            before, todo = self.starts, [start for start in self.starts if not entry.intact(self.block(start))]
        else:
            before, there = self._todo, {path.name for path in self.folder.glob("*.npy")}
            todo = [start for start in before if self.block(start).name not in there]
        if self.joined():  # the blocks are removed after that
            todo = []
        self._told(set(before) - set(todo))
        self._todo, self._waiting = todo, self._waiting or claims.pauses()
        return todo

    def claimed(self, todo: Sequence[int]) -> Iterator[int]:
        """Those that nobody else is making; they are ours until they are `finished`."""
        first = secrets.randbelow(len(todo))  # processes start at different places
        for start in (*todo[first:], *todo[:first]):
            lease = leases.take(self.folder.with_name(f"{self.folder.stem}-{start}{leases.SUFFIX}"), "--cache")
            if lease is None:
                continue
            self._held[start] = lease
            if claims.there(self.block(start)) or self.joined():
                self._held.pop(start).release()
                continue
            self._waiting = None
            yield start

    def finished(self, start: int) -> None:
        """A block of ours was written."""
        self._held.pop(start).release()
        if self._todo is not None:
            self._todo.remove(start)
        self._told([start])

    def _told(self, starts: Iterable[int]) -> None:
        self.advance(sum(min(self.size, self.images - start) for start in starts))
