"""Wherever runs execute, the same run ids and the same bytes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FOOD
from tests.runs.test_sharing import content

ROOT = Path(__file__).parents[2]


def command(home, *more, **environ):
    (home / "food.toml").write_text(FOOD)
    asked = [
        sys.executable, "-m", "croftbench", "run", "-m", "zero-shot,tip-adapter", "-s", home / "food.toml",
        "--seeds", "1,2", "--limit", "20", "--device", "cpu", "--results", home / "results",
        "--cache", home / "cache", *more,
    ]  # fmt: skip
    told = subprocess.run(
        list(map(str, asked)), capture_output=True, text=True, timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environ},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    return told


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    home = tmp_path_factory.mktemp("here")
    command(home)
    return content(home / "results")


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("local-slurm", "submitit")])
def test_the_same_bytes_whatever_the_launcher(here, tmp_path, launcher, package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is an extra that is not installed")
    told = command(tmp_path, "--launcher", launcher, "--workers", "2")
    assert content(tmp_path / "results") == here
    assert "tip-adapter" in told.stdout


def test_the_parts_of_a_plan_make_the_whole(here, tmp_path):
    for rank in ("0", "1", "2"):
        command(tmp_path, "--shard", "auto", RANK=rank, WORLD_SIZE="3")
        runs = list((tmp_path / "results").rglob("runs/**/*.json"))
        assert len(runs) == [1, 2, 4][int(rank)]
    assert content(tmp_path / "results") == here
    assert {json.loads(path.read_bytes())["spec"]["seed"] for path in runs} == {1, 2}
