"""Processes that share a results folder and a cache: each piece is done once, and all end with the full table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import croftbench
from croftbench.files import PACKED, unpacked
from tests.conftest import FOOD

COUNTED = """
import os, sys, time
import fcntl
from pathlib import Path

def refused(*arguments):
    raise AssertionError("a lock of the file system was asked for")

fcntl.flock = fcntl.lockf = fcntl.fcntl = refused
import croftbench
from croftbench import leases
from croftbench.encoders import filling
from croftbench.runs.execute import Workbench

LOG = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def told(what):
    os.write(LOG, f"{os.getpid()} {what}\\n".encode())

real_run, real_done = Workbench.run, filling.Blocks.finished
def run(self, spec, info, bank=False):
    told(f"fit {spec.run_id}")
    return real_run(self, spec, info, bank)
def finished(self, start):
    told(f"block {self.folder.stem}-{start}")
    time.sleep(float(sys.argv[3]))
    return real_done(self, start)
Workbench.run, filling.Blocks.finished = run, finished

folder = Path(sys.argv[1])
board = croftbench.run(
    ["zero-shot", "tip-adapter"], folder / "food.toml", seeds=[1, 2], scores="knn",
    results=folder / "results", cache=folder / "cache", device="cpu", limit=20,
)
told(f"rows {len(board.table)}")
"""


def start(home, slow=0.0):
    """Start a process on a folder; `slow` seconds go by after each block, so that others come to pass."""
    home.mkdir(exist_ok=True)
    (home / "food.toml").write_text(FOOD)
    command = [sys.executable, "-c", COUNTED, str(home), str(home / "log"), str(slow)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def logged(home):
    path = home / "log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def content(folder):
    """Every file of a results folder, without what differs whenever a run is made: seconds, time of day, digest."""

    def steady(path):
        data = path.read_bytes()
        if path.suffix not in (".json", PACKED) or "leaderboards" in path.parts:
            return data
        record = json.loads(unpacked(data) if path.suffix == PACKED else data)
        for name in ("created", "timings", "digest", "environments"):
            record.pop(name, None)
        for name in ("commit", "dirty"):  # somebody may be at work on the code
            record.get("env", {}).pop(name, None)
        for one in record.get("scorers", []):
            one.pop("seconds", None)
        return json.dumps(record).encode()

    return {str(path.relative_to(folder)): steady(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    home = tmp_path_factory.mktemp("alone")
    assert start(home).wait(timeout=300) == 0
    return home


@pytest.mark.parametrize("processes", [2, 4])
def test_nothing_is_done_twice_and_the_bytes_are_one_process_s(alone, tmp_path, processes):
    home = tmp_path / "shared"
    children = [start(home, 0.02) for _ in range(processes)]
    assert [child.wait(timeout=300) for child in children] == [0] * processes
    done = Counter(" ".join(line[1:]) for line in logged(home) if line[1] in ("fit", "block"))
    once = Counter(" ".join(line[1:]) for line in logged(alone) if line[1] in ("fit", "block"))
    assert done == once, "each run fitted once, each block encoded once"
    assert set(done.values()) == {1}
    assert len({line[0] for line in logged(home) if line[1] == "block"}) > 1, "more than one encoded"
    assert len({tuple(line[2:]) for line in logged(home) if line[1] == "rows"}) == 1
    assert sum(line[1] == "rows" for line in logged(home)) == processes, "all ended with the same table"
    assert content(home / "results") == content(alone / "results")
    assert not list(tmp_path.rglob("*.lease")), "no claim is left"
    assert not (home / "results" / "claims").exists()


@pytest.mark.parametrize("stage", ["block", "fit"])
def test_what_a_killed_process_was_at_is_done_by_the_other(alone, tmp_path, stage):
    home = tmp_path / "shared"
    first, second = start(home, 0.05), start(home, 0.05)
    while not any(line[:2] == [str(first.pid), stage] for line in logged(home)):
        time.sleep(0.01)
        assert first.poll() is None and second.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.wait(timeout=300) == 0
    assert content(home / "results") == content(alone / "results")
    assert not list((home / "results").rglob("*.lease"))


def test_what_a_killed_writer_left_of_a_run_goes_when_the_run_is_made(cache, suite_file, tmp_path):
    croftbench.run("zero-shot", suite_file, results=tmp_path / "results", cache=cache)
    (record,) = (tmp_path / "results/runs").rglob("*.json")
    table = record.with_suffix(".parquet")
    left = [path.with_name(f"{path.name}.0123abcd.tmp") for path in (record, table)]
    others = record.with_name("another.json.0123abcd.tmp")
    for path in (*left, others):
        path.write_bytes(b"half")
    record.unlink()
    croftbench.run("zero-shot", suite_file, results=tmp_path / "results", cache=cache)
    assert sorted(path.name for path in record.parent.iterdir()) == sorted([record.name, table.name, others.name])
