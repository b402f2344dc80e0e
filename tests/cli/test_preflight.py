"""What is said before anything costs time, once."""

from __future__ import annotations

import pytest

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
    with pytest.raises(DataError, match=r"MB are needed for what is planned.*--cache"):
        check_writable(tmp_path, "--cache", 2**60)
