"""The disk as functions: data sets with their state and faults, a cache that is listed and pruned."""

import os
import time

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
