"""Claims between processes that share a folder: who does what, without locks of the file system.

A lease is a small file: owner, host, process, time. It is made by `link()` of a file that is already written, so that
of many processes that try at once one succeeds and no one ever reads half of it. Making a link is one atomic step on
the server of NFS (any version) and of Lustre, as it is on a local disk; should the answer be lost on the way, the
file's count of links tells. Where there are no hard links the file is opened with O_CREAT|O_EXCL, which is as atomic
on all of these from NFS 3 on. Nothing here calls fcntl, flock or lockf: on shared file systems these are often switched
off, and often lie.

A living owner touches its leases every few seconds, from a thread. Whether an owner is alive is known on its own
machine by its process, which has a number and a time of start. From elsewhere it counts as dead when its lease has not
been touched for `AFTER` seconds: by the clock of the file system, which stamps both the lease and a file that we make
to compare, and only if we saw no touch ourselves while we looked, so that clocks that differ cannot kill. A dead
owner's lease is replaced by the one process that gets a lease on that very lease.

An owner that was only asleep may wake up and find its work done by another: work is then done twice, and no result is
wrong, as what is written is the same and replaces a file in one step.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from croftbench.errors import UsageError
from croftbench.files import unwritable

T = TypeVar("T")

VARIABLE = "CROFTBENCH_LEASE"
AFTER = 60.0
"""Seconds without a touch after which an owner on another machine counts as dead; the variable has another number."""

BEATS = 6
"""Touches in that time."""

SUFFIX = ".lease"
FOLDER = "claims"
"""Name of folders that hold leases alone, and go with the last one."""

TRIES = 20
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


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


# ------------------------------------------------------------------------------------------- owners


@dataclass(frozen=True)
class Owner:
    """A lease, as it was read.

    Attributes:
        token: of its content; two leases never have the same.
        beat: when it was last touched, in seconds of the file system's clock.
        about: what its owner said of itself; nothing where that cannot be read.
    """

    token: str
    beat: float
    about: dict[str, Any]

    def __str__(self) -> str:
        return f"process {self.about.get('pid', '?')} on {self.about.get('host', 'another machine')}"


def owner(path: Path) -> Owner | None:
    """Who holds a lease, None where nobody does. The file is opened, so that an NFS client asks its server.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content, beat = file.read(), os.fstat(file.fileno()).st_mtime
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        raise
    try:
        about = json.loads(content)
    except ValueError:
        about = {}
    return Owner(hashlib.sha256(content).hexdigest()[:16], beat, about if isinstance(about, dict) else {})


@cache
def _here() -> tuple[str, str]:
    """Which running machine, and which space of process numbers on it; nothing where a system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().decode("ascii", "replace").strip()
        return boot, str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "", ""


def _started(pid: int) -> str:
    """When a process of this machine started, in ticks; "" where there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def _content() -> bytes:
    boot, space = _here()
    about = {
        "host": socket.gethostname(), "pid": os.getpid(), "boot": boot, "space": space,
        "started": _started(os.getpid()), "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "token": secrets.token_hex(8),
    }  # fmt: skip
    return (json.dumps(about, indent=1) + "\n").encode()


_seen: dict[str, tuple[str, float, float]] = {}
"""Leases of other machines -> token and touch as we first saw them, and when, by our own clock."""


def _dead(path: Path, held: Owner, now: float) -> bool:
    """Whether a lease's owner is gone; `now` is of the file system's clock."""
    about, (boot, space) = held.about, _here()
    if boot and (about.get("boot"), about.get("space")) == (boot, space) and isinstance(about.get("pid"), int):
        return _started(about["pid"]) != about.get("started")
    before, ours = _seen.get(str(path)), time.monotonic()
    if before is None or before[:2] != (held.token, held.beat):
        _seen[str(path)] = held.token, held.beat, ours
        return False
    return now - held.beat > after() and ours - before[2] > 2 * after() / BEATS


# ------------------------------------------------------------------------------------------- leases


@dataclass(frozen=True)
class Lease:
    """A lease that is ours, until the context ends."""

    path: Path
    token: str

    def release(self) -> None:
        """Give it back; one that another took over stays theirs. Its folder goes if it is empty and named for it."""
        _heart.forget(self.path)
        with contextlib.suppress(OSError):
            held = owner(self.path)
            if held is not None and held.token == self.token:
                self.path.unlink(missing_ok=True)
        if self.path.parent.name == FOLDER:
            with contextlib.suppress(OSError):
                for heir in self.path.parent.glob(f"{self.path.name}.*{SUFFIX}"):  # of a killed process
                    heir.unlink(missing_ok=True)
                self.path.parent.rmdir()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def take(path: Path, option: str = "") -> Lease | None:
    """The lease of a name ending in SUFFIX, if nobody alive has it. Never waits.

    Raises:
        DataError: the folder cannot be written to; `option` chooses another.
    """
    for attempt in range(TRIES):
        try:
            return _take(path)
        except (FileNotFoundError, FileExistsError) as error:  # the folder was empty, and others removed or made it
            if attempt == TRIES - 1:
                raise unwritable(path, error, option) from error
        except OSError as error:
            raise unwritable(path, error, option) from error
    return None


def _take(path: Path) -> Lease | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _written(path) as mine:
        if _put(mine, path):
            return _ours(path)
        held = owner(path)
        if held is None or not _dead(path, held, mine.stat().st_mtime):
            return None
        heir = take(path.with_name(f"{path.name}.{held.token}{SUFFIX}"))
        if heir is None:
            return None
        with heir:
            now = owner(path)
            if now is None or now.token != held.token:
                return None
            mine.replace(path)
            return _ours(path)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A lease of ours, whole, under a name that nobody looks for; its time of change is the file system's now."""
    mine = path.with_name(f"{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        mine.write_bytes(_content())
        yield mine
    finally:
        with contextlib.suppress(OSError):
            mine.unlink(missing_ok=True)


def _put(mine: Path, path: Path) -> bool:
    """Give our file the name that all look for, unless it is taken."""
    try:
        os.link(mine, path)
        return True
    except OSError as error:
        with contextlib.suppress(OSError):
            if mine.stat().st_nlink == 2:  # it was done, and the answer got lost
                return True
        if error.errno == errno.EEXIST:
            return False
        if error.errno not in NO_LINKS:
            raise
    try:
        with path.open("xb") as file:
            file.write(mine.read_bytes())
        return True
    except FileExistsError:
        return False


def _ours(path: Path) -> Lease:
    held = owner(path)
    lease = Lease(path, held.token if held else "")
    _heart.keep(path)
    return lease


class _Heart:
    """Touches the leases of this process while it has any."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def keep(self, path: Path) -> None:
        with self._lock:
            self._paths.add(path)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)
                self._thread.start()

    def forget(self, path: Path) -> None:
        with self._lock:
            self._paths.discard(path)

    def _beat(self) -> None:
        while True:
            time.sleep(after() / BEATS)
            with self._lock:
                paths = tuple(self._paths)
            for path in paths:
                with contextlib.suppress(OSError):
                    os.utime(path)  # no time given: an NFS server takes its own


_heart = _Heart()
os.register_at_fork(after_in_child=lambda: globals().update(_heart=_Heart()))

# ------------------------------------------------------------------------------------------- sharing


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
        if later and not said and (who := owner(lease(later[0]))) is not None:
            waiting(len(later), str(who))
            said = True
        if later:
            next(idle)
        left = later
