"""The whole `croftbench leaderboard` over many runs of one suite: ten times the runs, about ten times as long.

Runs of croft with other values of one hyper-parameter, three seeds each, as a sweep leaves them; made from a committed
one. Each round is a process of its own, start-up included; its peak memory is the process's.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.peak import peak
from croftbench.files import sealed
from croftbench.runs import results

COMMITTED = Path(__file__).parents[1] / "results"


def sweep(folder: Path, count: int) -> Path:
    """A results folder of so many runs, each a little better than the one before."""
    run = next(run for run in results.read_all(COMMITTED, "emoji-open") if run.spec.method == "croft")
    for i in range(count):
        params = {**run.spec.params, "lambda2": 1e-5 * (i // 3 + 1)}
        scores = tuple(replace(s, value=s.value * (1 - 1e-3 * (count - i) / count)) for s in run.scores)
        made = replace(run, spec=replace(run.spec, seed=1 + i % 3, params=params), scores=scores)
        path = results.path_of(folder, made.spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not by `results.write`, which waits for the disk 5,000 times.
        path.write_text(sealed(results.laid_out(asdict(made), ["scores"])))
    return folder


@pytest.mark.benchmark(group="leaderboard of a sweep")
@pytest.mark.parametrize("count", [500, 5000])
def test_leaderboard(benchmark, tmp_path, count):
    folder = sweep(tmp_path, count)
    arguments = ["leaderboard", "emoji-open", "--results", str(folder)]
    most = benchmark.pedantic(lambda: peak("from croftbench.cli import main; main()", *arguments), rounds=3)
    table = (folder / "leaderboards" / "emoji-open.csv").read_text()
    assert table.count("\n") == 1 + -(-count // 3)
    benchmark.extra_info["peak MB"] = round(most / 1e6)
    assert most < 600e6
