"""Leases: which of the processes that share a folder does what. By filelock, without locks of the file system.

A lease is a small file that is made by opening it alone (O_CREAT|O_EXCL), which is one atomic step on a local disk, on
NFS from version 3 on and on Lustre. Nothing calls fcntl or flock: on shared file systems these are often switched off,
and often lie. A thread of its owner touches it. An owner on the same machine is dead when its process is gone, whoever
has its number now; any other when its lease was not touched for `after()` seconds of our own clock while we looked, so
that clocks that differ cannot kill. See `filelock.SoftFileLease`.

An owner that was only asleep may wake up and find its work done by another: work is then done twice, and no result is
wrong, as what is written is the same and replaces a file in one step.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from croftbench.errors import UsageError
from croftbench.files import unwritable

VARIABLE = "CROFTBENCH_LEASE"
AFTER = 60.0
"""Seconds without a touch after which an owner on another machine counts as dead; the variable has another number."""

SUFFIX = ".lease"
FOLDER = "claims"
"""Name of folders that hold leases alone, and go with the last one."""

TRIES = 20


@cache
def after() -> float:
    """Seconds without a touch after which an owner elsewhere counts as dead.

    Raises:
        UsageError: the variable is no such number.
    """
    told = os.environ.get(VARIABLE, "")
    try:
        seconds = float(told) if told else AFTER
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < 1e6:
        raise UsageError(f"{VARIABLE}={told} is no number of seconds from 1 on.", f"Left out, it is {AFTER:g}.")
    return seconds


@dataclass(frozen=True)
class Lease:
    """A lease that is ours, until the context ends."""

    path: Path
    lock: SoftFileLease

    def release(self) -> None:
        """Give it back; one that another took over stays theirs. Its folder goes if it is empty and named for it."""
        with contextlib.suppress(OSError):
            self.lock.release()
        if self.path.parent.name == FOLDER:
            with contextlib.suppress(OSError):
                self.path.parent.rmdir()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


_refused: dict[Path, SoftFileLease] = {}
"""Leases that others had when we asked: whether they are touched is seen by asking by the same object again."""
_empty: dict[tuple[Path, int], float] = {}
"""Leases without a word in them, and their time of change -> when we first saw them so."""


def take(path: Path, option: str = "") -> Lease | None:
    """The lease of a name ending in SUFFIX, if nobody alive has it. Never waits.

    Raises:
        DataError: the folder cannot be written to; `option` chooses another.
        UsageError: its owner has another number of seconds in VARIABLE.
    """
    lock = _refused.pop(path, None) or SoftFileLease(path, lease_duration=after(), thread_local=False)
    for attempt in range(TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
            return Lease(path, lock)
        except Timeout:
            _refused[path] = lock
            _drop_empty(path)
            return None
        except LeaseSettingsMismatch as error:
            raise UsageError(
                f"another process that shares {path.parent} has another {VARIABLE} than {after():g} seconds.",
                "Give all of them the same.",
            ) from error
        except OSError as error:
            vanished = isinstance(error, FileNotFoundError | FileExistsError)  # others removed the empty folder
            if not vanished or attempt == TRIES - 1:
                raise unwritable(path, error, option) from error
    return None


def _drop_empty(path: Path) -> None:
    """Remove a lease that a power cut left empty, in time: filelock leaves such a one for ever."""
    with contextlib.suppress(OSError):
        about = path.stat()
        if about.st_size:
            return
        first = _empty.setdefault((path, about.st_mtime_ns), time.monotonic())
        if time.monotonic() - first > after():
            path.unlink()


def holder(path: Path) -> str:
    """Who has a lease, in words; "" where nobody has."""
    owner = SoftFileLease(path, lease_duration=after()).owner
    return "" if owner is None else f"process {owner.pid} on {owner.hostname.partition('?')[0]}"
