"""Parts of a plan: all of it, nothing twice, the same every time; and which one a launcher's variables mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croftbench.errors import UsageError
from croftbench.launch import Launcher, parts
from croftbench.runs.planning import Job
from croftbench.runs.spec import RunSpec


def job(method, seed, fold):
    spec = RunSpec("s", "d", fold, method, 1, "", {}, "e", "w", "t", 2, seed, 2)
    return Job(spec, None)


@given(st.integers(0, 6), st.integers(1, 4), st.integers(1, 12))
def test_parts_are_the_plan_and_as_equal_as_can_be(seeds, methods, count):
    jobs = [job(f"m{m}", seed, fold) for m in range(methods) for seed in range(seeds) for fold in ("a", "b")]
    cut = [parts.part(jobs, (one, count)) for one in range(count)]
    assert sorted(x.spec.run_id for part in cut for x in part) == sorted(x.spec.run_id for x in jobs)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
    assert cut == [parts.part(jobs, (one, count)) for one in range(count)]


def test_methods_of_one_draw_stay_together():
    jobs = [job(f"m{m}", seed, "a") for m in range(3) for seed in range(4)]
    for one in range(4):
        assert {x.spec.seed for x in parts.part(jobs, (one, 4))} == {one}


@pytest.mark.parametrize(
    ("variables", "meant"),
    [
        ("RANK=3 WORLD_SIZE=8", (3, 8)),
        ("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2", (0, 2)),
        ("PMI_RANK=1 PMI_SIZE=4", (1, 4)),
        ("SLURM_PROCID=2 SLURM_NTASKS=4", (2, 4)),
        ("SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0", (5, 8)),
        ("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1", (0, 8)),
        ("SLURM_ARRAY_TASK_ID=4 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_STEP=2", (2, 3)),
        ("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_PROCID=1 SLURM_NTASKS=4", (5, 8)),
        ("RANK=1 WORLD_SIZE=2 SLURM_PROCID=0 SLURM_NTASKS=1", (1, 2)),  # torchrun inside of a Slurm job
    ],
)
def test_auto_reads_what_the_launcher_says(variables, meant):
    assert parts.parse("auto", dict(one.split("=") for one in variables.split())) == meant


def test_parts_are_counted_from_one_by_people():
    assert parts.parse("1/8") == (0, 8)
    assert parts.parse("8/8") == (7, 8)
    assert parts.parse("") is None


@pytest.mark.parametrize("text", ["0/8", "9/8", "1", "a/b", "1/0", "-1/2"])
def test_no_such_part_is_one_line(text):
    with pytest.raises(UsageError, match=f"--shard {text} is no part"):
        parts.parse(text)


@pytest.mark.parametrize(
    "variables",
    ["", "RANK=1", "RANK=x WORLD_SIZE=2", "RANK=2 WORLD_SIZE=2", "SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_COUNT=2"],
)
def test_auto_without_a_launcher_is_an_error_not_the_whole_plan(variables):
    with pytest.raises(UsageError, match="--shard auto"):
        parts.parse("auto", dict(one.split("=") for one in variables.split()))


def test_launchers_and_their_options_are_checked():
    with pytest.raises(UsageError, match="unknown launcher 'rya'"):
        Launcher.of("rya")
    with pytest.raises(UsageError, match="not of the form name=value"):
        Launcher.of("ray", options=["gpus"])
    with pytest.raises(UsageError, match="for another launcher"):
        Launcher.of("here", workers=2)
    assert Launcher.of("slurm", options=["gpus_per_node=1"]).options == {"gpus_per_node": "1"}
