"""Where the runs of a plan execute: in this process, on a Ray cluster, or as jobs of Slurm. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.errors import CroftbenchError, UsageError, unknown
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

HERE = "here"
ELSEWHERE = {"ray": "on_ray", "slurm": "on_slurm", "local-slurm": "on_slurm"}
"""Name -> module of this package."""
LAUNCHERS = (HERE, *ELSEWHERE)

Failed = Callable[[Job, CroftbenchError], None]


@dataclass(frozen=True)
class Launcher:
    """Where to run.

    Attributes:
        name: one of LAUNCHERS.
        address: of a Ray cluster; "local" starts one on this machine, "auto" finds the one that this machine is in.
        workers: jobs of Slurm, or encoder actors on a Ray cluster without GPUs; as many as fit where None.
        options: for Slurm, parameters of submitit's executor; for Ray, "cpus" and "gpus" of a fit.
    """

    name: str = HERE
    address: str = "local"
    workers: int | None = None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, address: str = "local", workers: int | None = None, options: Sequence[str] = ()) -> Launcher:
        """As it is asked for.

        Raises:
            UsageError: no such launcher, workers that cannot be, an option that is none.
        """
        if name not in LAUNCHERS:
            raise unknown("launcher", name, LAUNCHERS)
        if workers is not None and workers < 1:
            raise UsageError(f"workers must be at least 1, not {workers}.", "Left out, as many as fit.")
        given = {}
        for one in options:
            key, equals, value = one.partition("=")
            if not (key and equals):
                raise UsageError(f"--launch {one} is not of the form name=value.", "Example: --launch gpus=0.25")
            given[key] = value
        if name == HERE and (given or workers is not None):
            raise UsageError("--workers and --launch are for another launcher.", "Add --launcher ray, or slurm.")
        return cls(name, address, workers, given)

    def run_all(self, bench: Workbench, jobs: Sequence[Job], folder: Path, failed: Failed, force: bool = False) -> None:
        """Run the jobs, as `runs.engine.run_all` does: same files, same bytes, wherever it is.

        Raises:
            UsageError: the launcher's package is not installed, or refuses an option.
            DataError: a result cannot be written.
        """
        if self.name == HERE:
            from croftbench.runs import engine

            engine.run_all(bench, jobs, folder, failed, force)
        elif jobs:
            module = import_module(f"croftbench.launch.{ELSEWHERE[self.name]}")
            module.run_all(self, bench, jobs, folder, failed, force)


def missing(package: str, extra: str) -> UsageError:
    """The error for a launcher without its package."""
    return UsageError(f"{package} is not installed.", f"pip install 'croftbench[{extra}]'")
