"""Runs on a Ray cluster whose machines share the results folder and the cache: encoders first, then fits as tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench.errors import CroftbenchError, DataError, UsageError
from croftbench.launch import Failed, Launcher, missing
from croftbench.launch.work import Failure, Work, environment, report
from croftbench.runs import forecast
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.progress import Progress
    from croftbench.runs.execute import Workbench

RETRIES = 3
"""Times that a fit whose process or machine dies is given to another."""


def run_all(
    launcher: Launcher, bench: Workbench, jobs: Sequence[Job], folder: Path, failed: Failed, force: bool = False
) -> None:
    """As `runs.engine.run_all`. A cluster that is started here ends with it.

    Raises:
        UsageError: Ray is not installed, is not there, or an option is none.
        DataError: a result cannot be written.
    """
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise missing("Ray", "ray") from None
    cpus, gpus = _amounts(launcher)
    started = _connect(ray, launcher.address)
    try:
        there = ray.cluster_resources()
        device = str(bench.device) if "GPU" not in there else "auto"
        work = Work.of(bench, jobs, folder, force, device)
        shared = ray.put(work)
        numbers = _draws(jobs)
        if forecast.of(bench, [jobs[n] for n in numbers], folder).images:
            _encode(ray, launcher, shared, numbers, there, bench.progress)
        told = _fit(ray, shared, len(jobs), cpus, gpus if "GPU" in there else 0.0, bench.progress)
    finally:
        if started:
            ray.shutdown()
    report(jobs, folder, told, failed, "Ray lost it more often than it tries")


def _amounts(launcher: Launcher) -> tuple[float, float]:
    """CPUs and GPUs of a fit."""
    asked = {"cpus": "1", "gpus": "0.25"} | launcher.options
    if unknown := asked.keys() - {"cpus", "gpus"}:
        raise UsageError(f"--launch {min(unknown)} is no option of Ray's launcher.", "It has cpus and gpus, of a fit.")
    try:
        return float(asked["cpus"]), float(asked["gpus"])
    except ValueError:
        raise UsageError("--launch cpus and gpus are numbers.", "Example: --launch gpus=0.25") from None


def _connect(ray: Any, address: str) -> bool:
    """Join a cluster, or start one; whether it was started."""
    if ray.is_initialized():
        return False
    try:
        ray.init(
            address=address, runtime_env={"env_vars": environment()}, log_to_driver=False, configure_logging=False,
            **({"include_dashboard": False} if address == "local" else {}),
        )  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise UsageError(
            f"no Ray cluster at '{address}': {said}.", "`ray start --head`, or --address local."
        ) from error
    return True


def _draws(jobs: Sequence[Job]) -> list[int]:
    """One job of each draw and kind of features: all that has to be encoded."""
    kinds: dict[tuple[object, ...], int] = {}
    for number, job in enumerate(jobs):
        spec = job.spec
        kinds.setdefault((spec.fold, spec.seed, spec.shots, spec.views, job.info.image, job.info.train), number)
    return list(kinds.values())


def _encode(
    ray: Any, launcher: Launcher, work: Any, numbers: Sequence[int], there: dict[str, float], progress: Progress
) -> None:
    """All features, by one actor a GPU; without GPUs by as many as are asked for, or one for eight cores. Each is given
    all pools, and they share each by its blocks.
    """
    gpus, cores = int(there.get("GPU", 0)), int(there.get("CPU", 1))
    count = gpus or launcher.workers or max(1, cores // 8)
    needs = {"num_gpus": 1, "num_cpus": 1} if gpus else {"num_cpus": max(1, cores // count)}

    class Encoder:
        def encode(self, work: Work, number: int) -> None:
            work.encode(number)

    actors = [ray.remote(Encoder).options(max_restarts=RETRIES, max_task_retries=RETRIES, **needs).remote()
              for _ in range(count)]  # fmt: skip
    progress.stage(f"encoding {len(numbers)} draws on {count} actor(s)", len(numbers) * count)
    waiting = [actor.encode.remote(work, number) for number in numbers for actor in actors]
    while waiting:
        done, waiting = ray.wait(waiting, timeout=1)
        for one in done:
            try:
                ray.get(one)
            except (CroftbenchError, ray.exceptions.RayError) as error:  # the fit will meet it, and say whose it is
                progress.note(f"an encoder failed: {str(error).splitlines()[0]}")
            progress.advance()
    for actor in actors:
        ray.kill(actor)


def _fit(ray: Any, work: Any, count: int, cpus: float, gpus: float, progress: Progress) -> list[Failure]:
    """All runs, each a task; those that failed."""

    def fit(work: Work, number: int) -> list[Failure]:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(cpus))))
        return work.run([number])

    task = ray.remote(fit).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
    progress.stage("runs on Ray", count)
    waiting = [task.remote(work, number) for number in range(count)]
    told: list[Failure] = []
    while waiting:
        done, waiting = ray.wait(waiting, timeout=1)
        for one in done:
            try:
                told += ray.get(one)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, DataError):  # a result cannot be written: nothing can
                    raise error.cause from error
                progress.note(f"a fit failed: {str(error.cause).splitlines()[0]}")
            except ray.exceptions.RayError as error:
                progress.note(f"Ray lost a fit: {str(error).splitlines()[0]}")
            progress.advance()
    return told
