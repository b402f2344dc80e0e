"""What the runs of a plan will take, from what finished runs took: never from anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from croftbench.draw.draws import Draws
from croftbench.draw.splits import Fold
from croftbench.encoders.identity import EMBEDDED
from croftbench.files import canonical
from croftbench.runs import results
from croftbench.runs.execute import Workbench
from croftbench.runs.planning import Job
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites import manifest

SHIPPED = ("emoji-open", "emoji-kinds")
"""Suites that everybody can run: what a method took there is scaled where it has not yet run on a plan's suite."""


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        seconds: of fitting and scoring; None where nothing is known.
        how: what it is from, or why nothing is known.
    """

    seconds: float | None
    how: str


class Known:
    """What finished runs of a results folder say of others.

    Args:
        bench: of the plan.
        folder: of results.
    """

    def __init__(self, bench: Workbench, folder: Path) -> None:
        self.bench = bench
        self.runs: dict[tuple[str, str], list[RunResult]] = {}
        for suite in dict.fromkeys((bench.suite.name, *SHIPPED)):
            for run in results.read_all(folder, suite):
                self.runs.setdefault((suite, run.spec.method), []).append(run)

    def cost(self, job: Job) -> Cost:
        """By runs of the same method: on this suite with this encoder, with the same settings if there are any; else on
        a suite that ships. Fitting is scaled by passes over training images, scoring by test images.
        """
        spec = job.spec
        here = [r for r in self.runs.get((spec.suite, spec.method), ()) if r.spec.encoder == spec.encoder]
        same = [r for r in here if _settings(r.spec) == _settings(spec)]
        if same:
            return Cost(fmean(_fit(r) + _score(r) for r in same), f"{_count(same)} of it{_on(same)}")
        if here:
            seconds = fmean(_fit(r) * _passes(spec) / _passes(r.spec) + _score(r) for r in here)
            return Cost(seconds, f"{_count(here)} of it with other settings, scaled by shots x epochs{_on(here)}")
        for suite in SHIPPED:
            there = [r for r in self.runs.get((suite, spec.method), ()) if self._comparable(r, job)]
            if there and suite != spec.suite:
                how = f"{_count(there)} of it on {suite}, scaled by epochs and images, not by classes{_on(there)}"
                return Cost(self._scaled(there, job), how)
        return Cost(None, "no finished run of it to go by")

    def _comparable(self, run: RunResult, job: Job) -> bool:
        """A tower's own steps cost what its encoder costs; features of any encoder that is shipped cost alike."""
        towers = "tower" in (job.info.image, job.info.text) or "patches" in job.info.image
        return run.spec.encoder == job.spec.encoder or (run.spec.encoder == EMBEDDED and not towers)

    def _scaled(self, runs: Sequence[RunResult], job: Job) -> float:
        ours = self.bench.fold_of(job.spec, job.info)

        def scaled(run: RunResult) -> float:
            theirs = _shipped(run.spec.suite, run.spec.fold, run.spec.seed, run.spec.shots)
            passes = _passes(job.spec) / job.spec.shots / (_passes(run.spec) / run.spec.shots)
            trained = len(ours.train) / max(1, len(theirs.train)) if job.info.train else 1.0
            return _fit(run) * passes * trained + _score(run) * _tested(ours) / _tested(theirs)

        return fmean(map(scaled, runs))


@cache
def _shipped(suite: str, fold: str, seed: int, shots: int) -> Fold:
    return Draws(manifest.suite(suite)).fold(fold, seed, shots)


def _tested(fold: Fold) -> int:
    return max(1, sum(len(split) for _, split in fold.tests))


def _settings(spec: RunSpec) -> object:
    return canonical(spec.params), spec.shots, spec.views


def _passes(spec: RunSpec) -> float:
    """Times that training images are gone through, for each class: shots, and epochs where a method has such."""
    return spec.shots * max(1.0, float(spec.params.get("epochs", 1)))


def _fit(run: RunResult) -> float:
    return run.timings.get("fit", 0.0)


def _score(run: RunResult) -> float:
    return run.timings.get("score", 0.0)


def _count(runs: Sequence[RunResult]) -> str:
    return f"{len(runs)} finished run{'s' if len(runs) > 1 else ''}"


def _on(runs: Sequence[RunResult]) -> str:
    """Where they ran, as far as they say."""
    names = {f"{run.env['device']} {run.env.get('device_name', '')}".strip() for run in runs if run.env.get("device")}
    return f", on {' and '.join(sorted(names))}" if names else ""
