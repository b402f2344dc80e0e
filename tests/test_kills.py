"""A few faults as a small run writes; `make kills` tries more. See docs/faults.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="the layer between a run and the disk is Linux's")
def test_a_run_that_was_stopped_or_hindered_is_whole_after_the_same_command():
    """In a process of its own, which forks: this one may have threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "4"], cwd=Path(__file__).parents[1], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| all | 4 |" in done.stdout
