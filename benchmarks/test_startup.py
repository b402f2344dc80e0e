"""Start-up, as a multiple of what importing typer and rich costs: commands import what they need, when they need it."""

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
    """`list` also pays what typer pays to read any argument: it imports pydantic (`one argument` says how much)."""
    if not benchmark.enabled:
        subprocess.run([sys.executable, "-m", "croftbench", *line.split()], check=True, capture_output=True)
        return
    floor = seconds("-c", "import typer, rich")
    argument = seconds("-c", "import typer\ndef main(x: str): ...\ntyper.run(main)", "a")
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-m", "croftbench", *line.split()], check=True, capture_output=True),
        rounds=ROUNDS,
    )
    benchmark.extra_info["times typer and rich"] = round(benchmark.stats.stats.min / floor, 2)
    benchmark.extra_info["one argument, times typer and rich"] = round(argument / floor, 2)
