"""Runs that are stopped or hindered at chosen moments: is anything lost, or other than it would have been?

    python -m tests.kills 50

Half of the faults come as results are written, half as the cache is. A layer between a run and the disk counts its
steps below one of the two folders: each file opened for writing, linked, renamed, removed or synced, and each folder
made or removed. At a step drawn by chance comes one of `FAULTS`. Then the same command runs again, and once more into
an empty results folder, from whatever cache is left. All files must be equal, byte by byte, to those of a run that
nobody disturbed; of a record of results, which holds when it was made and how long it took, all else (`PASSING`). What
the first run had finished must not change by a byte.

Processes are forked from one that has imported everything, so that a fault costs a second or two. Linux only.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import pkgutil
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import croftbench
from croftbench.files import PACKED, unpacked
from tests.conftest import FOOD

FAULTS = {
    "stop": "the process ends before the step",
    "cut": "the same, and of what was not synced by then half the bytes and all renames are gone",
    "torn": "the process ends in the middle of the first write of more than so many bytes that follows",
    "fail": "the step fails with an input/output error",
    "full": "from the step on, no file can grow beyond so many bytes",
}
OUTCOMES = ("not reached", "went on", "ended, whole again", "bug", "lost", "other bytes")
KINDS = ("results", "cache")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PASSING = {"created", "timings", "seconds", "outputs", "commit", "dirty", "digest"}
"""Keys of records that differ from run to run; the commit, as somebody may work here while a campaign goes on."""
WARM = ("open_clip", "pandas", "pyarrow.parquet")


class Disk:
    """The layer: counts a process's steps below `folder`, and at step `at` lets `fault` happen.

    It looks at Python's audit events and stands in for `os.fsync`. What Arrow opens by itself is seen when it is
    renamed; `torn` and `full` are the kernel's limit of file sizes, which binds every writer.
    """

    def __init__(self, folder: Path, fault: str, at: int, size: int) -> None:
        self.folder, self.fault, self.at, self.size = folder, fault, at, size
        self.steps: list[str] = []
        self.synced = {path.stat().st_ino: _state(path) for path in folder.parent.rglob("*")}
        self.renamed: list[tuple[Path, Path]] = []
        self._sync, os.fsync = os.fsync, self.fsync
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit event, before it happens."""
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            self.step(event, _below(arguments[0]))
        elif event in ("os.remove", "os.rmdir"):
            self.step(event, _below(arguments[0], arguments[1]))
        elif event == "os.mkdir":
            self.step(event, _below(arguments[0], arguments[2]))
        elif event == "os.link":
            self.step(event, _below(arguments[1]))
        elif event == "os.rename":
            paths = _below(arguments[0]), _below(arguments[1])
            self.step(event, paths[1])
            if not paths[1].exists():
                self.renamed.append(paths)

    def fsync(self, descriptor: int) -> None:
        """What a process calls instead of `os.fsync`."""
        path = _below("", descriptor)
        self.step("os.fsync", path)
        self._sync(descriptor)
        self.synced[path.stat().st_ino] = _state(path)
        self.renamed = [(old, new) for old, new in self.renamed if new.parent != path]

    def step(self, what: str, path: Path) -> None:
        """Count it, and let the fault happen if it is its turn."""
        if not path.is_relative_to(self.folder):
            return
        self.steps.append(f"{what} {path}")
        if len(self.steps) != self.at:
            return
        match self.fault:
            case "stop":
                os._exit(137)
            case "cut":
                self.lose()
                os._exit(137)
            case "fail":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            case "torn":
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    def lose(self) -> None:
        """What a disk may do to that which nobody waited for."""
        for old, new in reversed(self.renamed):
            if new.exists() and old.parent.is_dir():
                new.rename(old)
        for path in [path for path in self.folder.parent.rglob("*") if path.is_file()]:
            if self.synced.get(path.stat().st_ino) != _state(path):
                os.truncate(path, path.stat().st_size // 2)


def _below(path: object, folder: object = -1) -> Path:
    """An event's path, which may be relative to an open folder."""
    at = Path(f"/proc/self/fd/{folder}").readlink() if isinstance(folder, int) and folder >= 0 else Path.cwd()
    return at / os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else at


def _state(path: Path) -> tuple[int, int]:
    return path.stat().st_size, path.stat().st_mtime_ns


class Campaign:
    """A small suite, and what its runs leave when nobody disturbs them."""

    def __init__(self, root: Path, seed: int = 1) -> None:
        self.root, self.random = root, random.Random(seed)
        (root / "food.toml").write_text(FOOD)
        _import_everything()
        (root / "right").mkdir()  # as a hindered run's folder is there
        self.right, self.steps = root / "right", dict[str, list[str]]()
        for kind in ("cache", "results"):  # the second from the first one's features, as its faults are tried
            shutil.rmtree(self.right / "results", ignore_errors=True)
            shutil.rmtree(self.right / "cache/outputs", ignore_errors=True)
            code, said, self.steps[kind] = self.run(self.right, kind)
            assert code == 0, said
        self.content = {kind: content(self.right / kind) for kind in KINDS}

    def run(self, folder: Path, kind: str, fault: str = "", at: int = 0, size: int = 0) -> tuple[int, str, list[str]]:
        """The command in a process of its own: its exit status, what it printed, its steps below a folder."""
        words: list[object] = ["run", "-m", "zero-shot,tip-adapter", "--scorers", "mcm", "--limit", "4", "-s"]
        words += [self.root / "food.toml", "--results", folder / "results", "--cache", folder / "cache"]
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(out)
            _work(folder / kind, into, words, fault, at, size)
        os.close(into)
        with os.fdopen(out, errors="replace") as pipe:
            said, _, steps = pipe.read().partition("\0")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said, steps.splitlines()

    def hinder(self, kind: str, fault: str) -> tuple[str, str]:
        """One hindered run, and the same command again; what came of it, and the account of it."""
        at, size = self.random.randint(1, len(self.steps[kind])), self.random.choice((0, 100, 2000))
        with tempfile.TemporaryDirectory(dir=self.root) as name:
            folder = Path(name)
            if kind == "results":  # the features are there
                shutil.copytree(self.right / "cache/features", folder / "cache/features")
            code, said, steps = self.run(folder, kind, fault, at, size)
            where = self.steps[kind][at - 1]
            account = f"{fault} at step {at} of {kind} ({where}), size {size}: exit {code}\n{said}"
            if re.search("This is a bug|Traceback|Error:", said):
                return "bug", account
            finished = content(folder / "results", whole=True)
            finished = {name: data for name, data in finished.items() if "failed" not in Path(name).parts}
            again, said, _ = self.run(folder, kind)
            account += f"again: exit {again}\n{said}"
            lost = different(finished, content(folder / "results", whole=True) if not again else {})
            other = different(self.content["results"], content(folder / "results"), both=True)
            shutil.rmtree(folder / "results")
            warm, said, _ = self.run(folder, kind)
            account += f"from its cache: exit {warm}\n{said}"
            for name in KINDS:
                other += different(self.content[name], content(folder / name), both=True)
        if again or lost:
            return "lost", account + "lost: " + " ".join(lost)
        if warm or other:
            return "other bytes", account + "other: " + " ".join(other)
        if steps and len(steps) < at:
            return "not reached", account
        return ("ended, whole again" if "exit 0" not in account.splitlines()[0] else "went on"), account


def _work(folder: Path, into: int, words: Sequence[object], fault: str, at: int, size: int) -> None:
    """A forked process's whole life."""
    os.dup2(into, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.argv, sys.dont_write_bytecode = ["croftbench", *map(str, words)], True
    os.environ["CROFTBENCH_LEASE"] = "1"  # second, for leases that a power cut made unreadable
    code: object = 1
    disk = Disk(folder, fault, at, size)
    try:
        from croftbench.cli import main

        main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        print("\0" + "\n".join(disk.steps), file=sys.stderr, flush=True)
        os._exit(code if isinstance(code, int) else 1)


def _import_everything() -> None:
    for name in WARM:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(croftbench.__path__, "croftbench."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def content(folder: Path, whole: bool = False) -> dict[str, object]:
    """What is there by path, without what a dead process leaves, which is never read."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if not any(part.endswith((".tmp", ".partial", ".lease")) for part in name.parts):
            data = path.read_bytes()
            found[str(name)] = data if whole else _lasting(path, data)
    return found


def different(right: dict[str, object], found: dict[str, object], both: bool = False) -> list[str]:
    """Files of `right` that are not found or other, and with `both` those that should not be there."""
    return sorted(name for name in (right | found if both else right) if right.get(name) != found.get(name))


def _lasting(path: Path, data: bytes) -> object:
    """A file's content without times, what depends on what was kept, and the digest over them."""
    if path.suffix not in (".json", PACKED) or "results" not in path.parts:
        return data
    return _timeless(json.loads(unpacked(data) if path.suffix == PACKED else data))


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(inside) for key, inside in value.items() if key not in PASSING}
    return [_timeless(inside) for inside in value] if isinstance(value, list) else value


def campaign(root: Path, faults: int, seed: int = 1) -> tuple[dict[str, Counter[str]], list[str]]:
    """So many hindered runs, in turns over folders and faults; outcomes by both, and accounts of what went wrong."""
    of = Campaign(root, seed)
    kinds = [(kind, fault) for fault in FAULTS for kind in KINDS]
    outcomes: dict[str, Counter[str]] = {f"{kind}, {fault}": Counter() for kind, fault in kinds}
    wrong = []
    for i in range(faults):
        kind, fault = kinds[i % len(kinds)]
        outcome, account = of.hinder(kind, fault)
        outcomes[f"{kind}, {fault}"][outcome] += 1
        if outcome in OUTCOMES[3:]:
            wrong.append(f"{outcome}: {account}")
    return outcomes, wrong


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        outcomes, wrong = campaign(Path(root), int(sys.argv[1]))
    print("| folder, fault | tried |", " | ".join(OUTCOMES), "|\n|---|" + "---:|" * (1 + len(OUTCOMES)))
    for kind, counts in [*outcomes.items(), ("all", sum(outcomes.values(), Counter()))]:
        print(f"| {kind} | {counts.total()} |", " | ".join(str(counts[one]) for one in OUTCOMES), "|")
    print(*wrong, sep="\n\n", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
