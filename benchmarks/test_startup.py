"""Start-up, as a multiple of what importing Click and Rich costs: commands import what they need, when they need it."""

import subprocess
import sys
import time

import pytest

ROUNDS = 5


def seconds(*arguments: str) -> float:
    """The fastest of a few processes."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("line", ["--help", "--version", "list methods", "list suites"])
def test_start_up(benchmark, line):
    if not benchmark.enabled:
        subprocess.run([sys.executable, "-m", "croftbench", *line.split()], check=True, capture_output=True)
        return
    floor = seconds("-c", "import click, rich")
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-m", "croftbench", *line.split()], check=True, capture_output=True),
        rounds=ROUNDS,
    )
    benchmark.extra_info["times Click and Rich"] = round(benchmark.stats.stats.min / floor, 2)
