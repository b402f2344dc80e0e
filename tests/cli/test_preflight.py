"""What is said before anything costs time, once."""

from __future__ import annotations

import shutil

import pytest

import croftbench as package
from croftbench.errors import DataError
from croftbench.files import check_writable


def test_missing_data_are_said_once_and_not_once_a_seed(croftbench, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    code, _, err = croftbench("run", "-m", "zero-shot,croft", "-s", "setup1", "--data-root", root)
    assert code == 1
    told = [line for line in err.splitlines() if "imagenet" in line]
    assert len(told) == 2
    assert "3 of 6 runs (zero-shot) cannot start: imagenet/val is not in" in told[0]
    assert "3 of 6 runs (croft) cannot start: imagenet/train is not in" in told[1]


def test_a_folder_that_cannot_be_written_is_said_before_a_run(croftbench, tmp_path):
    (tmp_path / "in-the-way").write_text("")
    code, _, err = croftbench("run", "-m", "zero-shot", "--results", tmp_path / "in-the-way" / "results")
    assert code == 1
    (told,) = (line for line in err.splitlines() if line.startswith("error"))
    assert "in-the-way" in told
    assert "--results" in told


def test_the_check_leaves_nothing_and_knows_a_full_disk(tmp_path):
    check_writable(tmp_path / "new", "--cache")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "new/writable").write_text("somebody's own")
    check_writable(tmp_path / "new", "--cache")
    assert (tmp_path / "new/writable").read_text() == "somebody's own"
    with pytest.raises(DataError, match=r"MB are needed for what is planned.*--cache"):
        check_writable(tmp_path, "--cache", 2**60)


def test_a_plan_says_what_it_takes_and_that_is_what_it_writes(croftbench, suite_file, tmp_path):
    """The estimate against the folders afterwards: features and outputs to a few per cent, tables an upper bound."""
    cache, results = tmp_path / "cache", tmp_path / "results"
    forecast = package.forecast("tip-adapter", suite_file, cache=cache, results=results)
    code, out, err = croftbench("run", "-m", "tip-adapter", "-s", suite_file, "--cache", cache, "--dry-run")
    assert code == 0, err
    assert f"{forecast.images:,} images to encode" in out
    assert "food: disk up to " in out and "food: memory up to " in out
    assert croftbench("run", "-m", "tip-adapter", "-s", suite_file, "--cache", cache, "--results", results)[0] == 0

    def size(folder, pattern="*"):
        return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())

    space = forecast.space
    assert size(cache / "features") * 0.9 < space.features < size(cache / "features") * 2 + 1e5
    assert space.memory.features == pytest.approx(size(cache / "features"), rel=0.1)  # all are read at once
    assert space.outputs == pytest.approx(size(cache / "outputs"), rel=0.05)
    assert size(results, "*.parquet") < space.tables
    again = package.forecast("tip-adapter", suite_file, cache=cache, results=results)
    assert (again.images, again.space.features, again.space.tables) == (0, 0, 0)


def test_a_disk_without_the_room_is_said_before_anything_is_encoded(croftbench, suite_file, tmp_path, monkeypatch):
    """A disk of which all but 25 MB is taken."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=25_000_000))
    arguments = ("run", "-m", "tip-adapter", "-s", suite_file, "--cache", tmp_path / "cache", "--views", "300")
    code, _, err = croftbench(*arguments)
    assert code == 1
    (told,) = (line for line in err.splitlines() if line.startswith("error"))
    assert "what is planned takes about" in told and "25.0 MB are free" in told and "--views" in told
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert not (tmp_path / "results/runs").exists()
