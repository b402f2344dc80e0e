"""A fixed part of a plan: `--shard 2/8`, or `auto`, from what the launcher of this process says of it. No torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from croftbench.errors import UsageError
from croftbench.runs.planning import Job

AUTO = "auto"
RANKS = (
    ("RANK", "WORLD_SIZE"),  # torchrun
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI, and srun for them
)
"""Variables of a process's number, from 0, and of how many there are."""


def parse(text: str, environ: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """Which part of how many, counted from 0; None for an empty text. "1/8" is the first of eight.

    Raises:
        UsageError: it is neither i/n nor "auto", or there is no such part, or nothing says which.
    """
    if not text:
        return None
    if text == AUTO:
        return _told(os.environ if environ is None else environ)
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text} is no part.", "Example: --shard 1/8 to --shard 8/8, or auto.")
    return int(match[1]) - 1, int(match[2])


def _told(environ: Mapping[str, str]) -> tuple[int, int]:
    for rank, size in RANKS:
        if rank in environ and size in environ:
            return _checked(_number(environ, rank), _number(environ, size), rank)
    array, tasks = "SLURM_ARRAY_TASK_ID" in environ, "SLURM_PROCID" in environ and "SLURM_NTASKS" in environ
    part, parts = 0, 1
    if array:
        first, step = _number(environ, "SLURM_ARRAY_TASK_MIN", "0"), _number(environ, "SLURM_ARRAY_TASK_STEP", "1")
        part = (_number(environ, "SLURM_ARRAY_TASK_ID") - first) // max(1, step)
        parts = _number(environ, "SLURM_ARRAY_TASK_COUNT")
    if tasks:  # of each job of the array, if it is one
        of = _number(environ, "SLURM_NTASKS")
        part, parts = part * of + _number(environ, "SLURM_PROCID"), parts * of
    if array or tasks:
        return _checked(part, parts, "Slurm")
    raise UsageError(
        "--shard auto: no variable of torchrun, MPI or Slurm says which part this process is.", "Say it: --shard 1/8."
    )


def _number(environ: Mapping[str, str], name: str, default: str = "") -> int:
    text = environ.get(name, default)
    if not text.isdigit():
        raise UsageError(f"--shard auto: {name} is '{text}', which is no number.", "Say it: --shard 1/8.")
    return int(text)


def _checked(part: int, parts: int, who: str) -> tuple[int, int]:
    if not 0 <= part < parts:
        raise UsageError(
            f"--shard auto: {who} says part {part} of {parts}, counted from 0.", "An array must be a plain range, 0-7."
        )
    return part, parts


def part(jobs: Sequence[Job], which: tuple[int, int] | None) -> tuple[Job, ...]:
    """The jobs of a part, the same whatever is finished. Parts are as equal as can be, are all jobs together, and need
    as few draws as can be: jobs of one seed and fold share their training views.
    """
    if which is None:
        return tuple(jobs)
    ordered = sorted(jobs, key=lambda job: (job.spec.seed, job.spec.fold))
    of, parts = which
    return tuple(ordered[of * len(jobs) // parts : (of + 1) * len(jobs) // parts])
