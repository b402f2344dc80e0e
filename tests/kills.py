"""Kills of a small cold run at chosen moments: is anything lost, or other than without a kill?

    python -m tests.kills 50

Half of the kills come at the n-th write below the results folder, half at the n-th below the cache: as a file is
opened for writing, renamed or removed, the process ends at once (`os._exit`), or the call fails with an I/O error.
A run's file holds its time and seconds, so its bytes differ each time: of it the specification and the scores are
compared, to the last bit. All other files must be equal, byte by byte.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.conftest import FOOD

WORK = """
import os, sys
how, folder, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
count = 0
def hook(event, arguments):
    global count
    path = str(arguments[0]) if arguments else ""
    writes = event in ("os.rename", "os.remove", "os.mkdir") or (
        event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    )
    if writes and path.startswith(folder):
        count += 1
        if count == at:
            if how == "kill":
                os._exit(137)
            raise OSError(5, "Input/output error")
sys.addaudithook(hook)
sys.argv[:] = ["croftbench", *sys.argv[4:]]
from croftbench.cli import main
try:
    main()
finally:
    print("writes", count)
"""

OUTCOMES = ("complete before", "killed, whole again", "failed, whole again", "lost", "other bytes")


class Campaign:
    """A small run, and what it leaves when nobody disturbs it."""

    def __init__(self, root: Path, seed: int = 1) -> None:
        self.root, self.random = root, random.Random(seed)
        (root / "food.toml").write_text(FOOD)
        self.right, self.writes = {}, {}
        for kind in ("results", "cache"):
            with tempfile.TemporaryDirectory(dir=root) as folder:
                done = self.run(Path(folder), "count", kind, 0)
                assert done.returncode == 0, done.stderr
                self.writes[kind] = int(done.stdout.split("writes ")[-1])
                self.right = self.content(Path(folder))

    def run(self, folder: Path, how: str, kind: str, at: int) -> subprocess.CompletedProcess[str]:
        words = ["run", "-s", self.root / "food.toml", "-m", "zero-shot,tip-adapter", "--limit", "6", "-q"]
        words += ["--results", folder / "results", "--cache", folder / "cache"]
        line = [sys.executable, "-c", WORK, how, str(folder / kind), str(at), *map(str, words)]
        return subprocess.run(line, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    def kill(self, kind: str, how: str) -> str:
        """One disturbed cold run, and the same command again; what came of it."""
        with tempfile.TemporaryDirectory(dir=self.root) as name:
            folder = Path(name)
            first = self.run(folder, how, kind, self.random.randint(1, self.writes[kind]))
            if self.run(folder, "count", kind, 0).returncode:
                return "lost"
            if self.content(folder) != self.right:
                return "other bytes"
        if first.returncode == 137:
            return "killed, whole again"
        return "failed, whole again" if first.returncode else "complete before"

    def content(self, folder: Path) -> dict[str, object]:
        """What is there by path, without what a dead process leaves, which is never read."""
        found: dict[str, object] = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder)
            if any(part.endswith((".tmp", ".partial")) for part in name.parts):
                continue
            found[str(name)] = _lasting(path) if name.parts[:2] == ("results", "runs") else path.read_bytes()
        return found


def _lasting(path: Path) -> object:
    if path.suffix != ".json":
        return path.read_bytes()
    run = json.loads(path.read_bytes())
    return {key: run[key] for key in run.keys() - {"created", "timings", "digest"}}


def campaign(root: Path, kills: int, seed: int = 1) -> dict[str, Counter[str]]:
    """So many disturbed runs, in turns over folders and faults; outcomes by both."""
    of = Campaign(root, seed)
    kinds = [(folder, how) for how in ("kill", "fail") for folder in ("results", "cache")]
    outcomes: dict[str, Counter[str]] = {f"{folder}, {how}": Counter() for folder, how in kinds}
    for i in range(kills):
        folder, how = kinds[i % len(kinds)]
        outcomes[f"{folder}, {how}"][of.kill(folder, how)] += 1
    return outcomes


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        outcomes = campaign(Path(root), int(sys.argv[1]))
    print("| writes below | tried |", " | ".join(OUTCOMES), "|\n|---|" + "---:|" * (1 + len(OUTCOMES)))
    for kind, counts in [*outcomes.items(), ("all", sum(outcomes.values(), Counter()))]:
        print(f"| {kind} | {counts.total()} |", " | ".join(str(counts[one]) for one in OUTCOMES), "|")
    sys.exit(any(counts["lost"] or counts["other bytes"] for counts in outcomes.values()))


if __name__ == "__main__":
    main()
