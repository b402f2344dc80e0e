"""A finished run once more: the command that makes it, and whether its numbers come out again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import DataError, UsageError
from croftbench.plugins import MethodInfo, is_registered
from croftbench.runs import planning
from croftbench.runs.planning import Job
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite


@dataclass(frozen=True)
class Difference:
    """One number that differs: which, what the run has, and what it is now (None: it is not there)."""

    what: str
    before: float | None
    now: float | None


def target(run: RunResult) -> str:
    """What `--method` must be told: a name, or the file as it was given; where nothing says it, a place to fill in."""
    spec = run.spec
    if is_registered(spec.method):
        return spec.method
    return str(run.env.get("target") or f"./FILE.py:{spec.method.rpartition('.')[2]}")


def settings(spec: RunSpec, suite: Suite, info: MethodInfo | None) -> dict[str, Any]:
    """Hyper-parameters that must be set for the run: where its method is not at hand, all of them."""
    if info is None:
        return dict(spec.params)
    try:
        _, usual = planning.hyperparameters(suite, info, spec.shots, recipe(spec, suite))
    except UsageError:  # another version of the method, with other hyper-parameters
        return dict(spec.params)
    return {name: value for name, value in spec.params.items() if name not in usual or usual[name] != value}


def recipe(spec: RunSpec, suite: Suite) -> str | None:
    """The named recipe of the run, None for the suite's own."""
    return spec.recipe if spec.recipe not in ("", suite.recipe) else None


def command(run: RunResult, suite: Suite, info: MethodInfo | None) -> str:
    """The command that makes the run, and no other."""
    spec, protocol = run.spec, suite.protocol
    words = ["croftbench", "run", "--suite", spec.suite, "--method", target(run), "--seeds", str(spec.seed)]
    words += ["--encoder", spec.encoder] if spec.encoder != EMBEDDED else []
    words += ["--shots", str(spec.shots)] if spec.shots != protocol.shots else []
    words += ["--views", str(spec.views)] if spec.views != protocol.views else []
    named = recipe(spec, suite)
    words += ["--recipe", named] if named else []
    for name, value in settings(spec, suite, info).items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def the_same(run: RunResult, jobs: Sequence[Job]) -> Job:
    """Of what would be run, the job that is the run.

    Raises:
        DataError: there is none: something that decides its numbers is not as it was.
    """
    for job in jobs:
        if job.spec.run_id == run.spec.run_id:
            return job
    near = next((job.spec for job in jobs if job.spec.fold == run.spec.fold), jobs[0].spec)
    other = [field.name for field in fields(RunSpec) if getattr(near, field.name) != getattr(run.spec, field.name)]
    parts = (f"{name}: {_short(getattr(run.spec, name))}, now {_short(getattr(near, name))}" for name in other)
    raise DataError(
        f"run {run.spec.run_id} cannot be repeated, for it would be another: {'; '.join(parts)}.",
        f"Restore what it was made with: `croftbench show {run.spec.run_id}`",
    )


def differences(before: Sequence[Score], now: Sequence[Score], within: float = 0.0) -> list[Difference]:
    """Every number of two runs that differs by more than `within`, a fraction; counts of images by anything."""
    old, new = _numbers(before), _numbers(now)
    found = []
    for what in dict.fromkeys([*old, *new]):
        a, b = old.get(what), new.get(what)
        limit = 0.0 if what.rpartition(" ")[2] in ("n_id", "n_ood") else within
        if a is None or b is None or abs(a - b) > limit:
            found.append(Difference(what, a, b))
    return found


def _numbers(scores: Sequence[Score]) -> Mapping[str, float]:
    """Each number of a run by what it is, in words."""
    named = {}
    for score in scores:
        against = f", {score.scorer} against {score.reference}" if score.reference else ""
        for part in ("value", "low", "high", "n_id", "n_ood"):
            named[f"{score.metric} of {score.shift} {score.split}{against}: {part}"] = float(getattr(score, part))
    return named


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text or "nothing"
