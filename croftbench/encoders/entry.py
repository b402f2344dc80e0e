"""An entry of the feature store as a file: saved, and checked as it is read; what is damaged is made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from croftbench import npy
from croftbench.errors import DamagedError
from croftbench.files import discard, replacing
from croftbench.npy import Stored

T = TypeVar("T")


def save(path: Path, parts: Sequence[npt.NDArray[Any]]) -> None:
    """Write one array from its parts along the first axis, one part in memory at a time."""
    with replacing(path, "--cache") as temporary, temporary.open("wb") as file:
        array = npy.Writer(file, sum(map(len, parts)), parts[0])
        for part in parts:
            array.write(part)
        array.finish()


def intact(path: Path) -> bool:
    """Whether a file is there, as it was written; one that is damaged is deleted."""
    if not path.exists():
        return False
    try:
        Stored(path).whole()
    except DamagedError as error:
        discard(path, error.reason)
        return False
    return True


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        fill: makes it if it is not there; its path.
    """

    fill: Callable[[], Path]

    def read(self, use: Callable[[Stored], T]) -> T:
        """What `use` makes of the array; one that is damaged is made again.

        Raises:
            DataError: it cannot be made again, or is damaged at once.
        """
        path = self.fill()
        try:
            return use(Stored(path))
        except DamagedError as error:
            discard(path, error.reason)
        return use(Stored(self.fill()))

    def whole(self) -> npt.NDArray[Any]:
        """All of it, memory-mapped."""
        return self.read(Stored.whole)


class Rows:
    """Rows of an entry that is larger than memory: a block is checked when one of its rows is first read."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._stored = entry.read(lambda stored: stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self._stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self._stored.dtype

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The rows of a range, or at positions (B,)."""
        try:
            return self._stored[rows]
        except DamagedError:
            self._stored, found = self._entry.read(lambda stored: (stored, stored[rows]))
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self[:], dtype=dtype)
