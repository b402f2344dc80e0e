"""Claims between processes: one owner at a time, the dead inherited from at once, the living never."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from croftbench import leases
from croftbench.errors import DataError, UsageError

HOLD = """
import sys, time
from pathlib import Path
from croftbench import leases
lease = leases.take(Path(sys.argv[1]))
print("held" if lease else "refused", flush=True)
time.sleep(float(sys.argv[2]))
"""


def holder(path, seconds=60.0, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def forged(path, pattern, text):
    """A lease as ours would be, but for one line: of another machine, or of a process that had our number before."""
    with leases.take(path):
        mine = path.read_text()
    assert re.search(pattern, mine)
    path.parent.mkdir(exist_ok=True)
    path.write_text(re.sub(pattern, text, mine))


def foreign(path):
    forged(path, "host=.*", "host=elsewhere")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "claims" / "one.lease"


@pytest.fixture
def one_second(monkeypatch):
    monkeypatch.setenv(leases.VARIABLE, "1")
    leases.after.cache_clear()
    yield
    leases.after.cache_clear()


def test_a_lease_has_one_owner_and_its_folder_goes_with_it(path):
    with leases.take(path):
        assert leases.take(path) is None
        assert leases.holder(path) == f"process {os.getpid()} on {socket.gethostname()}"
    assert leases.holder(path) == ""
    assert not path.parent.exists()
    with leases.take(path):
        pass


def test_a_killed_process_s_lease_is_taken_over_at_once(path):
    child = holder(path)
    assert child.stdout.readline() == "held\n"
    assert leases.take(path) is None
    child.send_signal(signal.SIGSTOP)
    assert leases.take(path) is None, "asleep is not dead"
    child.kill()
    child.wait()
    with leases.take(path):
        assert leases.holder(path).startswith(f"process {os.getpid()} ")
    assert not path.parent.exists()


def test_a_process_that_got_a_dead_one_s_number_is_another(path):
    forged(path, "start=.*", "start=7")
    assert leases.take(path) is not None


def test_an_owner_elsewhere_is_dead_when_its_heart_stopped(path, one_second):
    foreign(path)
    began = time.monotonic()
    while (lease := leases.take(path)) is None:
        time.sleep(0.05)
        assert time.monotonic() - began < 30
    assert time.monotonic() - began >= 1
    lease.release()


@pytest.mark.parametrize("hours", [-5, 5])
def test_the_heart_of_an_owner_elsewhere_counts_whatever_its_clock_says(path, one_second, hours):
    """A living owner whose clock is hours off touches its lease; ours is never asked."""
    foreign(path)
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        now = time.time() + 3600 * hours
        os.utime(path, (now, now))
        assert leases.take(path) is None
        time.sleep(0.05)


def test_a_living_owner_keeps_its_lease_for_those_who_cannot_see_it(path, monkeypatch):
    """The other half of it: the thread of a process that works touches what it holds."""
    child = holder(path, CROFTBENCH_LEASE="1")
    assert child.stdout.readline() == "held\n"
    seen = set()
    ends = time.monotonic() + 20
    while len(seen) < 3 and time.monotonic() < ends:
        seen.add(path.stat().st_mtime_ns)
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert len(seen) >= 3


RACE = """
import sys, time
from pathlib import Path
from croftbench import leases
path, log = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    while (lease := leases.take(path)) is None:
        time.sleep(0.0005)
    with lease, log.open("a") as file:
        file.write("in\\n"); file.flush()
        time.sleep(0.0005)
        file.write("out\\n"); file.flush()
"""


def test_four_processes_take_turns_and_two_never_hold_it(path, tmp_path):
    log = tmp_path / "log"
    # the first lease is a dead process's: all four want to inherit
    child = holder(path, 0)
    child.wait()
    command = [sys.executable, "-c", RACE, str(path), str(log)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    assert [racer.wait(timeout=120) for racer in racers] == [0] * 4
    assert log.read_text().split() == ["in", "out"] * 160
    assert not path.parent.exists()


@pytest.mark.parametrize("content", [b"", b"filelock/2\n", b"filelock/2\npid=x\n", b"\0" * 2000])
def test_a_lease_that_cannot_be_read_is_somebody_s_until_it_is_old(path, content, one_second):
    path.parent.mkdir()
    path.write_bytes(content)
    assert leases.take(path) is None
    while (lease := leases.take(path)) is None:
        time.sleep(0.05)
    lease.release()


def test_a_lease_that_another_took_over_stays_theirs(path):
    lease, theirs = leases.take(path), path.with_name("theirs.lease")
    foreign(theirs)
    theirs.replace(path)
    lease.release()
    assert "host=elsewhere" in path.read_text()


def test_a_folder_that_cannot_be_written_and_a_time_that_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*--cache"):
        leases.take(tmp_path / "file" / "one.lease", "--cache")
    monkeypatch.setenv(leases.VARIABLE, "soon")
    leases.after.cache_clear()
    with pytest.raises(UsageError, match="CROFTBENCH_LEASE=soon"):
        leases.after()
    leases.after.cache_clear()


def test_processes_that_disagree_on_when_an_owner_is_dead_are_told(path, one_second):
    forged(path, "duration=.*", "duration=60.0")
    path.write_text(re.sub("host=.*", "host=elsewhere", path.read_text()))
    with pytest.raises(UsageError, match=r"another CROFTBENCH_LEASE than 1 seconds.*Give all of them the same"):
        leases.take(path)
