"""NumPy files with digests, larger than memory: written block by block, and held against them as they are read.

Behind the array, where NumPy's own readers do not look, stand the SHA-256 digests of each mebibyte of header and
numbers, the digest of these digests, and how many bytes they are of. A reader of a few rows hashes the blocks that
these are in, each once.

Written as streams, not through `np.lib.format.open_memmap`: its file is sparse, so that a disk that fills up ends the
process with a bus error, where a write raises an OSError that can be told and survived.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from croftbench.errors import DamagedError, DataError

BLOCK = 2**20
"""Bytes of header and numbers that share a digest."""

DIGEST, LENGTH = 32, 8
"""Bytes of a digest, and of the number at the end."""


class Writer:
    """Writes an array of `rows` rows like those of `like`, in C order: `write` some, then `finish`."""

    def __init__(self, file: IO[bytes], rows: int, like: npt.NDArray[Any]) -> None:
        self._file, self._size = file, 0
        self._digests: list[bytes] = []
        self._block = hashlib.sha256()
        header = io.BytesIO()
        descr, shape = np.lib.format.dtype_to_descr(like.dtype), (rows, *like.shape[1:])
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        self._put(memoryview(header.getvalue()))

    def write(self, rows: npt.NDArray[Any]) -> None:
        """The array's next rows."""
        self._put(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)

    def finish(self) -> None:
        """Write the digests, last."""
        if self._size % BLOCK:
            self._digests.append(self._block.digest())
        digests, length = b"".join(self._digests), self._size.to_bytes(LENGTH, "little")
        self._file.write(digests + hashlib.sha256(digests + length).digest() + length)

    def _put(self, data: memoryview) -> None:
        self._file.write(data)
        while len(data):
            part = data[: BLOCK - self._size % BLOCK]
            self._block.update(part)
            self._size += len(part)
            data = data[len(part) :]
            if self._size % BLOCK == 0:
                self._digests.append(self._block.digest())
                self._block = hashlib.sha256()


class Stored:
    """An array on disk, memory-mapped, whose bytes are held against their digests before they are handed out.

    Args:
        path: a file that `Writer` wrote.

    Raises:
        DamagedError: it is gone, or is not what was written; so do `whole` and `[rows]`.
        DataError: it may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes: npt.NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        except PermissionError as error:
            raise DataError(
                f"cannot read {path}: {error.strerror}.", f"Look at the rights of {path.parent}."
            ) from error
        except (OSError, ValueError) as error:
            raise self._damaged(getattr(error, "strerror", None) or "it is empty") from error
        self._length = int.from_bytes(self._bytes[-LENGTH:].tobytes(), "little")
        blocks = -(-self._length // BLOCK)
        if len(self._bytes) != self._length + DIGEST * (blocks + 1) + LENGTH:
            raise self._damaged("it is not as long as it says")
        trailer = self._bytes[self._length :].tobytes()
        self._digests, root = trailer[: DIGEST * blocks], trailer[DIGEST * blocks : -LENGTH]
        if hashlib.sha256(self._digests + trailer[-LENGTH:]).digest() != root:
            raise self._damaged("its digests are others than were written")
        self._checked = np.zeros(blocks, dtype=bool)
        self._check(np.arange(min(blocks, 1)))
        self._array = self._mapped()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self._array.dtype

    def __len__(self) -> int:
        return len(self._array)

    def whole(self) -> npt.NDArray[Any]:
        """All of it, memory-mapped."""
        self._check(np.arange(len(self._checked)))
        return self._array

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The rows of a range, or at positions (B,)."""
        chosen = np.arange(len(self))[rows]
        size = self._array[0].nbytes if len(self) else 0
        first = (self._start + chosen * size) // BLOCK
        last = (self._start + (chosen + 1) * size - 1) // BLOCK
        most = int((last - first).max(initial=0))
        self._check(np.unique(np.minimum(first[:, None] + np.arange(most + 1), last[:, None])))
        found: npt.NDArray[Any] = self._array[rows]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.whole(), dtype=dtype)

    def _mapped(self) -> npt.NDArray[Any]:
        """The numbers, once the header is known to be what was written."""
        header = io.BytesIO(self._bytes[: min(self._length, BLOCK)].tobytes())
        np.lib.format.read_magic(header)
        shape, _, dtype = np.lib.format.read_array_header_1_0(header)
        self._start = header.tell()
        return self._bytes[self._start : self._length].view(dtype).reshape(shape)

    def _check(self, blocks: npt.NDArray[np.intp]) -> None:
        """Hash blocks that were not yet."""
        for block in blocks[~self._checked[blocks]].tolist():
            content = self._bytes[block * BLOCK : min(self._length, (block + 1) * BLOCK)]
            if hashlib.sha256(content.data).digest() != self._digests[DIGEST * block : DIGEST * (block + 1)]:
                raise self._damaged(f"bytes from {block * BLOCK:,} on are not those that were written")
            self._checked[block] = True

    def _damaged(self, why: str) -> DamagedError:
        return DamagedError(self.path, why)
