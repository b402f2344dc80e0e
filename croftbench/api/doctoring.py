"""What is this machine, and what would stop or slow a run on it? The text to paste into a report of a bug."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from croftbench import __version__, leases, mirrors
from croftbench.defaults import CACHE, DATA, DEVICE, ENCODER, MANIFESTS, RESULTS
from croftbench.errors import CroftbenchError
from croftbench.locations import Folder, Folders
from croftbench.runs.preflight import ROOM

LOADED = ("torch", "torchvision", "open_clip", "numpy", "pandas", "pyarrow")
"""Imported, and not only looked up: a package can be there and not start."""
NETWORK = re.compile(r"nfs|cifs|smb|lustre|gpfs|ceph|beegfs|gluster|afs|9p|sshfs|davfs|panfs|pvfs|orangefs")
"""Kinds of file system that are another machine's."""
MEMORY = 2 * 2**30
"""Bytes of free memory below which torch and a real CLIP do not fit beside one another."""


@dataclass(frozen=True)
class Item:
    """One line: what was looked at, and what it is; `wrong` stops work, `slow` costs time; why is in `remark`."""

    section: str
    name: str
    value: str
    state: Literal["ok", "slow", "wrong"] = "ok"
    remark: str = ""


@dataclass(frozen=True)
class Checkup:
    """What was found, line by line; the user's home folder is "~" in it, and no host or user is named."""

    items: tuple[Item, ...]

    def of(self, state: str) -> list[Item]:
        """The lines in that state."""
        return [item for item in self.items if item.state == state]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {"items": [asdict(item) for item in self.items], "wrong": len(self.of("wrong"))}

    def to_text(self) -> str:
        """As lines, a heading a section."""
        lines: list[str] = []
        section = ""
        for item in self.items:
            if item.section != section:
                section = item.section
                lines.append(section)
            mark = "" if item.state == "ok" else f"  [{item.state}] {item.remark}"
            lines.append(f"  {item.name:16} {item.value}{mark}")
        return "\n".join(lines)


def doctor(
    *, results: Folder = None, cache: Folder = None, data_root: Folder = None, manifests: Folder = None
) -> Checkup:
    """Look at versions, devices, memory, folders and data; nothing is changed, and what cannot be found out is a line.

    Args:
        results, cache, data_root, manifests: folders, see `croftbench.api`.
    """
    chosen = {RESULTS: results, CACHE: cache, DATA: data_root, MANIFESTS: manifests}
    items: list[Item] = []
    looks: list[tuple[str, Callable[[], Iterator[Item]]]] = [
        ("versions", _versions),
        ("machine", _machine),
        ("devices", _devices),
        ("folders", lambda: _folders(Folders.of(results, cache, data_root, manifests))),
        ("data", lambda: _data(Folders.of(results, cache, data_root, manifests))),
        ("variables", lambda: _variables(chosen)),
    ]
    for section, look in looks:
        try:
            items += look()
        except Exception as error:  # a doctor that falls ill is of no use: whatever happens is a finding
            said = str(error) if isinstance(error, CroftbenchError) else f"{type(error).__name__}: {error}"
            items.append(Item(section, "cannot be read", " ".join(said.split()), "wrong", "see this message"))
    home = str(Path.home())
    return Checkup(tuple(_without(home, item) for item in items))


def _without(home: str, item: Item) -> Item:
    name, value, remark = (_homeless(text, home) for text in (item.name, item.value, item.remark))
    return replace(item, name=name, value=value, remark=remark)


def _homeless(text: str, home: str) -> str:
    return text if len(home) < 2 else re.sub(rf"{re.escape(home)}(?=[/\\\s:,;]|$)", "~", text)


# ------------------------------------------------------------------------------------- versions and machine


def _versions() -> Iterator[Item]:
    yield Item("versions", "croftbench", __version__)
    yield Item("versions", "python", f"{platform.python_version()} ({platform.python_implementation()})")
    try:
        declared = [Requirement(line) for line in requires("croftbench") or ()]
    except PackageNotFoundError:
        yield Item("versions", "installation", "not installed as a package", "slow", "its needs are not known")
        declared = []
    for one in declared:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield _package(one)
    for name in LOADED:
        try:
            import_module(name)
        except Exception as error:  # whatever a broken package raises
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            yield Item("versions", name, said, "wrong", "it is there and does not start: install it again")


def _package(needed: Requirement) -> Item:
    try:
        there = version(needed.name)
    except PackageNotFoundError:
        return Item("versions", needed.name, "missing", "wrong", f"{needed.specifier} is needed")
    if not needed.specifier.contains(there, prereleases=True):
        return Item("versions", needed.name, there, "wrong", f"{needed.specifier} is needed")
    return Item("versions", needed.name, there)


def _machine() -> Iterator[Item]:
    yield Item("machine", "system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    free, total = _memory()
    if total:
        short = 0 <= free < MEMORY
        remark = "a real CLIP may not fit; use a smaller --encoder, or end other programs" if short else ""
        said = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free" if free >= 0 else f"{total / 2**30:.1f} GiB"
        yield Item("machine", "memory", said, "slow" if short else "ok", remark)
    encoding = sys.stdout.encoding or "unknown"
    yield Item("machine", "output", f"encoding {encoding}")


def _memory() -> tuple[int, int]:
    """Bytes of memory that are free, -1 where nobody says, and in all; of the container, where it has a limit."""
    try:
        lines = Path("/proc/meminfo").read_bytes().decode().splitlines()
        said = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        free, total = said["MemAvailable"], said["MemTotal"]
    except (OSError, LookupError, ValueError):
        try:
            return -1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (OSError, ValueError, AttributeError):
            return -1, 0
    try:
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / name).read_bytes()) for name in ("memory.max", "memory.current"))
        return min(free, limit - used), min(total, limit)
    except (OSError, ValueError):  # no container, or "max"
        return free, total


def _devices() -> Iterator[Item]:
    from croftbench.runs import machine

    found = machine.devices()
    alone = len(found) == 1
    yield Item(
        "devices", "torch's build", f"for {machine.build()}", "slow" if alone else "ok",
        "no GPU is used: encoding images and training prompts (coop, cocoop, locoop) take far longer" if alone else "",
    )  # fmt: skip
    for name, what in found:
        few = name == "cpu" and alone and machine.threads() == 1 < machine.cores()
        remark = "one thread: unset OMP_NUM_THREADS, or set it to the number of cores" if few else ""
        yield Item("devices", name, what, "slow" if few else "ok", remark)


# ------------------------------------------------------------------------------------- folders and data


def _folders(folders: Folders) -> Iterator[Item]:
    yield _folder("results", folders.results, written=True)
    cold = not any((folders.cache / "features").glob("*.npy"))
    yield _folder("cache", folders.cache, written=True, slow="cold: the first run encodes all images" if cold else "")
    if folders.data is None:
        yield Item("folders", "data root", f"none; {DATA} or --data-root names one")
    else:
        yield _folder("data root", folders.data, written=False)
    for own in folders.manifests.own:
        yield _folder("manifests", own, written=False)


def _folder(name: str, path: Path, *, written: bool, slow: str = "") -> Item:
    there = next(one for one in (path, *path.parents) if one.exists())
    new = "" if there == path else " (not there yet)"
    readable = os.access(there, os.R_OK | (os.X_OK if there.is_dir() else 0))
    may = written and os.access(there, os.W_OK)
    rights = f"{'readable' if readable else 'NOT readable'}{', writable' if may else ', read-only' if written else ''}"
    free, kind = shutil.disk_usage(there).free, _file_system(there)
    where = path if mirrors.of(path) is None else f"{mirrors.named(path)}, mirrored in {path}"
    said = f"{where}{new}: {rights}, {free / 1e9:,.1f} GB free{f', {kind}' if kind else ''}"
    if not readable or (not written and there != path):
        return Item("folders", name, said, "wrong", "it cannot be read: check the path and its rights")
    if written and not may and not (path.is_dir() and name == "cache"):
        return Item("folders", name, said, "wrong", f"new runs need a folder that is writable: --{name}")
    if written and free < ROOM:
        return Item("folders", name, said, "wrong", "the disk is full")
    slow = "; ".join(
        part for part in (slow, f"{kind} is a network file system" if NETWORK.search(kind) else "") if part
    )
    return Item("folders", name, said, "slow" if slow else "ok", slow)


def _file_system(path: Path) -> str:
    """The kind of file system that a folder is on, "" where the system does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind, real = -1, "", path.resolve()
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = Path(left.split()[4].replace("\\040", " "))
        if real.is_relative_to(mount) and len(mount.parts) >= best:  # of two on one place, the later hides the earlier
            best, kind = len(mount.parts), right.split()[0]
    return kind


def _data(folders: Folders) -> Iterator[Item]:
    from croftbench.data.status import DataStatus

    status = DataStatus.of(folders.roots)
    families: dict[str, Counter[str]] = {}
    for one in status.splits:
        families.setdefault(one.family, Counter())["ships" if one.shipped else one.state] += 1
    for family, states in families.items():
        if set(states) != {"absent"}:
            yield Item("data", family, ", ".join(f"{n} split(s) {state}" for state, n in states.items()))
    absent = sum(set(states) == {"absent"} for states in families.values())
    yield Item("data", "not found", f"{absent} of {len(families)} data sets")
    able = sum(not one.lacks for one in status.suites)
    yield Item("data", "suites", f"{able} of {len(status.suites)} have all their images")


def _variables(chosen: dict[str, Folder]) -> Iterator[Item]:
    """Variables that change what a run does; folders stand above, and no other variable is shown."""
    names = (
        *chosen,
        ENCODER,
        DEVICE,
        leases.VARIABLE,
        "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES",
        "HF_HUB_OFFLINE",
    )
    for name in names:
        if name in os.environ:
            yield Item("variables", name, os.environ[name])
