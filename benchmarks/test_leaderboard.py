"""The leaderboard of many runs: time by run must not grow with their number, nor memory beyond what they hold."""

import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from croftbench.report import committed, rows
from croftbench.runs import results
from croftbench.suites import manifest

FEW, MANY = 500, 5_000
SEEDS = (1, 2, 3)


def fill(folder: Path, runs: int) -> None:
    """So many runs of emoji-open: a committed one under other hyper-parameters and seeds."""
    path = next((Path(__file__).parents[1] / "results/runs/emoji-open/croft").glob("*.json"))
    one = results.read(path)
    for i in range(runs):
        spec = replace(one.spec, seed=SEEDS[i % 3], params={**one.spec.params, "lambda2": i // 3 / 1000})
        results.write(folder, replace(one, spec=spec))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {n: tmp_path_factory.mktemp(f"runs-{n}") for n in (FEW, MANY)}
    for n, folder in made.items():
        fill(folder, n)
    return made


def test_leaderboard_of_many_runs(benchmark, folders):
    """Read, tabulate and write the committed files of 5,000 runs; a tenth of them tells how that grows."""
    suite = manifest.suite("emoji-open")
    start = time.perf_counter()
    committed.write(rows.read(folders[FEW], suite))
    few = time.perf_counter() - start
    benchmark.pedantic(lambda: committed.write(rows.read(folders[MANY], suite)), rounds=1)
    benchmark.extra_info["times the tenth's time"] = round(benchmark.stats.stats.mean / few, 2)


def test_leaderboard_command(benchmark, folders):
    """`croftbench leaderboard` in a process of its own: seconds, and the most memory it held."""

    def command() -> None:
        subprocess.run(
            [sys.executable, "-m", "croftbench", "leaderboard", "emoji-open", "--results", str(folders[MANY])],
            check=True, capture_output=True,
        )  # fmt: skip

    benchmark.pedantic(command, rounds=1)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    benchmark.extra_info["peak MB of any child so far"] = round(peak)
    assert json.loads(next((folders[MANY] / "runs").rglob("*.json")).read_text())["schema"] == 1
