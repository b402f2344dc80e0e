"""What the cache holds: features, outputs of runs, descriptions of methods and encoders. All can be made again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from croftbench.errors import DataError

KINDS = ("features", "methods", "encoders", "outputs")


@dataclass(frozen=True)
class Cached:
    """A file or folder of the cache.

    Attributes:
        kind: one of KINDS, or "unfinished": what a killed process left behind.
        path: where it is.
        size: in bytes.
        age: days since it was last used.
    """

    kind: str
    path: Path
    size: int
    age: float


@dataclass(frozen=True)
class Contents:
    """A cache: its folder, and all that it holds."""

    folder: Path
    entries: tuple[Cached, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(one.size for one in self.entries)


def entries(cache: Path) -> Iterator[Cached]:
    """Everything the cache holds."""
    for path in sorted(path for kind in KINDS for path in cache.glob(f"{kind}/*")):
        try:
            files = list(path.rglob("*")) if path.is_dir() else [path]
            stats = [file.stat() for file in files] or [path.stat()]
        except FileNotFoundError:  # another process finished it, or removed it
            continue
        kind = "unfinished" if path.suffix in (".partial", ".tmp", ".lease") else path.parent.name
        last = max(max(s.st_atime, s.st_mtime) for s in stats)
        yield Cached(kind, path, sum(s.st_size for s in stats), (time.time() - last) / 86400)


def prune(cache: Path, days: float) -> list[Cached]:
    """Remove what was not used for so many days, and what killed processes left behind; what was removed.

    Raises:
        DataError: something cannot be removed; what came before it is gone.
    """
    old = [one for one in entries(cache) if one.age >= days or (one.kind == "unfinished" and one.age > 1)]
    for one in old:
        try:
            shutil.rmtree(one.path) if one.path.is_dir() else one.path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"cannot remove {one.path}: {error.strerror}.", f"Make {one.path.parent} writable, and prune again."
            ) from error
    return old
