"""The disk as functions: data sets with their state and faults, a cache that is listed and pruned."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import croftbench
from croftbench.errors import DataError, UsageError
from croftbench.suites import registry
from tests.layouts.build import build


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("CROFTBENCH_DATA", "CROFTBENCH_MANIFESTS", "CROFTBENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)


def test_status_says_what_is_here_and_what_can_run(tmp_path):
    build(tmp_path, registry.family("pacs"), "domainbed")
    here = croftbench.data_status(data_root=tmp_path)
    state = {one.split: one.state for one in here.splits}
    assert state["emoji/noto"] == "complete"
    assert state["pacs/photo"] != "absent"
    assert {state[split] for split in state if split.startswith("vlcs/")} == {"absent"}
    assert {one.suite: one.lacks for one in here.suites}["emoji-open"] == ()
    assert here.to_dict()["data_root"] == str(tmp_path)


def test_the_folder_of_the_variable_is_the_one_that_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CROFTBENCH_DATA", str(tmp_path))
    assert croftbench.data_status().data_root == tmp_path


def test_verify_returns_the_first_fault_instead_of_raising_it(tmp_path):
    place = build(tmp_path, registry.family("pacs"), "domainbed")
    next(place.at.rglob("*.jpg")).unlink()
    verified = croftbench.verify_data("pacs", data_root=tmp_path)
    assert isinstance(verified.fault, DataError)
    assert "incomplete" in verified.fault.message
    assert [one["split"] for one in verified.to_dict()] == [one.split for one in verified.reports]
    assert croftbench.verify_data("emoji/noto", deep=True).fault is None


@pytest.mark.parametrize("ask", [croftbench.verify_data, croftbench.get_data])
def test_without_a_data_folder_what_does_not_ship_is_a_usage_error(ask):
    with pytest.raises(UsageError, match=r"pacs is not shipped|where to put it"):
        ask("pacs")


def test_what_a_person_must_fetch_comes_with_the_steps(tmp_path):
    with pytest.raises(DataError, match="cannot be fetched by a program") as raised:
        croftbench.get_data("terra", data_root=tmp_path)
    assert any(registry.family("terra").homepage in line for line in raised.value.steps)
    assert any(str(tmp_path) in line for line in raised.value.steps)


def test_what_ships_is_there_already(tmp_path):
    got = croftbench.get_data("emoji")
    assert (got.at, got.fetched) == ("in the package", None)


def test_the_cache_is_listed_and_only_what_is_old_is_pruned(tmp_path):
    (tmp_path / "features").mkdir()
    old, new = tmp_path / "features/old.npy", tmp_path / "features/new.npy"
    for path in (old, new):
        path.write_bytes(b"12345")
    long_ago = time.time() - 40 * 86400
    os.utime(old, (long_ago, long_ago))
    contents = croftbench.cached(cache=tmp_path)
    assert (contents.folder, contents.size, len(contents.entries)) == (tmp_path, 10, 2)
    assert [one.path for one in croftbench.prune_cache(cache=tmp_path)] == [old]
    assert [path.name for path in tmp_path.rglob("*.npy")] == ["new.npy"]
    with pytest.raises(UsageError, match="-1"):
        croftbench.prune_cache(-1, cache=tmp_path)
    assert new.exists()


@pytest.fixture
def aged(tmp_path):
    """Features of 1 MB each, unused for 1, 2, 3 and 4 days."""
    (tmp_path / "features").mkdir()
    for days in (1, 2, 3, 4):
        path, then = tmp_path / f"features/{days}.npy", time.time() - days * 86400 - 60
        path.write_bytes(bytes(1_000_000))
        os.utime(path, (then, then))
    return tmp_path


def left(cache):
    return sorted(path.stem for path in cache.rglob("*.npy"))


def test_the_oldest_go_until_the_rest_fits(aged):
    would = croftbench.prune_cache(to=0.0025, dry_run=True, cache=aged)
    assert [one.path.stem for one in would] == ["4", "3"]
    assert left(aged) == ["1", "2", "3", "4"]
    croftbench.prune_cache(to=0.0025, cache=aged)
    assert left(aged) == ["1", "2"]
    assert croftbench.prune_cache(to=0.002, cache=aged) == []
    assert [one.path.stem for one in croftbench.prune_cache(2, to=1, cache=aged)] == ["2"]
    with pytest.raises(UsageError, match="gigabytes"):
        croftbench.prune_cache(to=-1, cache=aged)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not say what is open")
@pytest.mark.parametrize("how", ["open", "mapped"])
def test_what_a_running_process_reads_stays(aged, how, caplog):
    mapped = "import numpy, sys; a = numpy.memmap(sys.argv[1]); print(a[0], flush=True); input()"
    plain = "import sys; a = open(sys.argv[1], 'rb'); print(flush=True); input()"
    code, path = plain if how == "open" else mapped, str(aged / "features/4.npy")
    reader = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        reader.stdout.readline()
        then = time.time() - 4 * 86400
        os.utime(path, (then, then))
        croftbench.prune_cache(0, cache=aged)
        assert left(aged) == ["4"]
        croftbench.prune_cache(to=0, cache=aged)
        assert left(aged) == ["4"]
        assert "in use by a running process" in caplog.text
    finally:
        reader.communicate(b"\n")
    croftbench.prune_cache(to=0, cache=aged)
    assert left(aged) == []


def test_what_may_be_being_written_stays_whatever_the_age_asked_for(aged):
    block = aged / "features/abc.partial/0.npy"
    block.parent.mkdir()
    block.write_bytes(b"1")
    croftbench.prune_cache(0, cache=aged)
    assert block.exists()
    then = time.time() - 2 * 86400
    os.utime(block, (then, then))
    croftbench.prune_cache(to=1, cache=aged)
    assert not block.parent.exists()
