"""Work that is shared out by leases: what to do, what is done, and what others are at. See `croftbench.leases`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from croftbench.leases import holder, take

T = TypeVar("T")


def stamp(path: Path) -> tuple[int, int] | None:
    """What a file of another content has not: its number and time of change; None where there is none."""
    try:
        about = path.stat() if there(path) else None
    except OSError:
        return None
    return about and (about.st_ino, about.st_mtime_ns)


def there(path: Path) -> bool:
    """Whether a file is there now. Its folder is opened first: an NFS client then asks, and does not remember."""
    with contextlib.suppress(OSError):
        os.scandir(path.parent).close()
    return path.exists()


def pauses() -> Iterator[None]:
    """Wait for others: shortly at first, at most two seconds."""
    seconds = 0.05
    while True:
        time.sleep(seconds)
        yield
        seconds = min(2.0, 1.5 * seconds)


def once(done: Callable[[], bool], path: Path, make: Callable[[], object], option: str = "") -> None:
    """Make something, unless another process has made it or is doing so; it is there then."""
    waiting = pauses()
    while not done():
        lease = take(path, option)
        if lease is None:
            next(waiting)
            continue
        with lease:
            if not done():
                make()
                return


def share(
    items: Iterable[T],
    lease: Callable[[T], Path],
    settled: Callable[[T], bool],
    do: Callable[[T], object],
    waiting: Callable[[int, str], object] = lambda items, who: None,
    option: str = "",
) -> None:
    """Do what nobody has settled, each under its lease; what others are at is left to them.

    Args:
        items: what is to be done, in this order.
        lease: where the lease of one is.
        settled: whether one is done; asked again once its lease is ours.
        do: does one.
        waiting: told how many are waited for in the end, and of one who is at them.
        option: as in `take`.

    Raises:
        DataError: a lease cannot be written; whatever `do` raises.
    """
    left, idle = list(items), pauses()
    said = False
    while left:
        later = []
        for item in left:
            if settled(item):
                continue
            claim = take(lease(item), option)
            if claim is None:
                later.append(item)
                continue
            with claim:
                if not settled(item):
                    do(item)
                    idle = pauses()
        if later and not said and (who := holder(lease(later[0]))):
            waiting(len(later), who)
            said = True
        if later:
            next(idle)
        left = later
