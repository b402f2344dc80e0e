"""What the cache holds: features, outputs, pictures, descriptions of methods and encoders. All can be made again."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from croftbench.errors import DataError

KINDS = ("features", "methods", "encoders", "outputs", "pictures")
UNFINISHED = "unfinished"
WRITTEN = 1
"""Days after which nobody is taken to be writing what is unfinished."""

_log = logging.getLogger(__name__)


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
        kind = UNFINISHED if path.suffix in (".partial", ".tmp", ".lease") else path.parent.name
        last = max(max(s.st_atime, s.st_mtime) for s in stats)
        yield Cached(kind, path, sum(s.st_size for s in stats), (time.time() - last) / 86400)


def prune(cache: Path, days: float | None, to: float | None = None, dry_run: bool = False) -> list[Cached]:
    """Remove what was not used for so many days, then the oldest until `to` bytes are left; what was removed.

    Also what killed processes left behind. What another process of this machine has open stays, which is said, and so
    does what is unfinished for less than a day: somebody may be writing it.

    Raises:
        DataError: something cannot be removed; what came before it is gone.
    """
    there = sorted(entries(cache), key=lambda one: (one.kind != UNFINISHED, -one.age))
    busy, left = _open(cache) if there else set(), sum(one.size for one in there)
    chosen: list[Cached] = []
    stays: list[Cached] = []
    for one in there:
        if one.kind == UNFINISHED:
            wanted = one.age > WRITTEN
        else:
            wanted = (days is not None and one.age >= days) or (to is not None and left > to)
        if wanted and one.path in busy:
            stays.append(one)
        elif wanted:
            chosen.append(one)
            left -= one.size
    if to is not None and left > to:
        _log.warning("%s MB stay in %s, in use or being written.", f"{left / 1e6:,.1f}", cache)
    if stays:
        _log.warning("%d entries of %s are in use by a running process and stay.", len(stays), cache)
    for one in () if dry_run else chosen:
        try:
            shutil.rmtree(one.path) if one.path.is_dir() else one.path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"cannot remove {one.path}: {error.strerror}.", f"Make {one.path.parent} writable, and prune again."
            ) from error
    return chosen


def _open(cache: Path) -> set[Path]:
    """Entries that another process of this machine has open or mapped, as far as the system tells this user."""
    root, mine, found = cache.resolve(), str(os.getpid()), set[Path]()
    for process in Path("/proc").glob("[0-9]*"):  # there is no such folder on macOS, which tells nothing
        if process.name == mine:
            continue
        names: list[str] = []
        with contextlib.suppress(OSError):  # another user's, or it has ended
            maps = os.fsdecode((process / "maps").read_bytes()).splitlines()
            names += [line[line.index("/") :] for line in maps if "/" in line]
        with contextlib.suppress(OSError):
            names += [str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()]
        for name in {name for name in names if name.startswith(f"{root}/")}:
            kind, entry, *_ = *Path(name).relative_to(root).parts, ""
            found.add(cache / kind / entry)
    return found
