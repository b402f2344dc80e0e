"""What a call asks to run: suite, methods and options -> jobs, one of each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from croftbench import plugins, scorers
from croftbench.api.suite_choice import SuiteLike, suite_of
from croftbench.draw.draws import Draws
from croftbench.encoders.identity import Identity
from croftbench.errors import UsageError
from croftbench.locations import Folders
from croftbench.plugins import MethodInfo
from croftbench.plugins.parameters import Value
from croftbench.progress import Progress
from croftbench.runs import planning
from croftbench.runs.planning import Job
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.api.running import MethodLike

SMOKE = "smoke"
"""Folder of runs of few images, below that of results."""


def smoke(suite: SuiteLike, limit: int | None, folders: Folders) -> tuple[Suite, Folders]:
    """A suite, and folders with its own manifests; of few images and in a folder of its own, where there is a limit.

    Raises:
        UsageError: there is no such suite, or a limit of none. ManifestError: its file breaks rules.
    """
    chosen = suite_of(suite, folders)
    folders = folders.behind(chosen)
    if limit is None:
        return chosen, folders
    if limit < 1:
        raise UsageError(f"limit must be at least 1, not {limit}.", "It is a number of images a split.")
    return chosen.smoke(limit), replace(folders, results=folders.results / SMOKE)


@dataclass(frozen=True)
class Plan:
    """The runs that a call asks for."""

    suite: Suite
    jobs: tuple[Job, ...]

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        """What is run."""
        return tuple(job.spec for job in self.jobs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Each once, in order."""
        return tuple(dict.fromkeys(job.spec.seed for job in self.jobs))


def plan(
    methods: MethodLike | Iterable[MethodLike], chosen: Suite, folders: Folders, progress: Progress,
    encoder: str, preprocess: str, seeds: Sequence[int] | None, shots: int | None, views: int | None,
    recipe: str | None,
    settings: Mapping[str, Value] | Sequence[str],
) -> Plan:  # fmt: skip
    infos = [plugins.describe(method, folders.cache) for method in _each(methods)]
    if not infos:
        raise UsageError("no method was given.", "`croftbench list methods` shows what there is.")
    for name in chosen.protocol.scorers:
        scorers.parse(name).check_alone()  # before anything is encoded
    infos = _trained(infos, chosen, progress)
    identity = identity_of(encoder, folders.cache, progress, preprocess)
    infos = _able(infos, _named(methods), identity, progress)
    overrides = planning.overrides(as_settings(settings), infos)
    draws = Draws(chosen, folders.roots)
    jobs = [
        job
        for info in infos
        for job in planning.plan(
            chosen,
            info,
            identity,
            draws.content,
            seeds=seeds,
            shots=shots,
            views=views,
            recipe=recipe,
            overrides=overrides[info.name],
        )
    ]
    return Plan(chosen, tuple({job.spec.run_id: job for job in jobs}.values()))


def _named(methods: MethodLike | Iterable[MethodLike]) -> set[str]:
    """Methods that were asked for by their own names, not by "all"."""
    given = [one for one in _listed(methods) if isinstance(one, str)]
    return {name.strip() for one in given for name in one.split(",")}


def _trained(infos: list[MethodInfo], suite: Suite, progress: Progress) -> list[MethodInfo]:
    """Without those that learn from images, where a suite has none to learn from; each is told. All of them, if there
    are no others: that is an error of its own.
    """
    able = [info for info in infos if not planning.lacking(suite, info)]
    if not able or len(able) == len(infos):
        return infos
    gone = ", ".join(info.name for info in infos if info not in able)
    progress.note(f"{planning.lacking(suite, next(i for i in infos if i not in able))}, left out: {gone}.")
    return able


def _able(infos: list[MethodInfo], named: set[str], identity: Identity, progress: Progress) -> list[MethodInfo]:
    """Without those that only "all" asked for and that need what the encoder lacks; each is told, with the reason."""
    left: dict[str, list[str]] = {}
    for info in infos:
        reason = identity.lacking(planning.on(identity, info).image, info.text)
        if reason and info.name in plugins.BUILT_IN and info.name not in named:
            left.setdefault(reason, []).append(info.name)
    for reason, names in left.items():
        progress.note(f"{identity.id} cannot run {', '.join(names)}, left out: {reason}.")
    gone = {name for names in left.values() for name in names}
    return [info for info in infos if info.name not in gone]


def _listed(methods: MethodLike | Iterable[MethodLike]) -> list[MethodLike]:
    one = isinstance(methods, str | type) or hasattr(methods, "fit")
    return [cast("MethodLike", methods)] if one else list(cast("Iterable[MethodLike]", methods))


def _each(methods: MethodLike | Iterable[MethodLike]) -> list[MethodLike]:
    if isinstance(methods, str):
        names = [name.strip() for name in methods.split(",") if name.strip()]
        every = (one for name in names for one in (plugins.BUILT_IN if name == "all" else [name]))
        return list(dict.fromkeys(every))
    if isinstance(methods, type) or hasattr(methods, "fit"):
        return [cast("MethodLike", methods)]
    if not isinstance(methods, Iterable):
        raise UsageError(f"{methods!r} is no method: it has no `fit(task)`.", "See docs/own-method.md.")
    return [one for given in methods for one in (_each(given) if isinstance(given, str) else [given])]


def as_settings(settings: Mapping[str, Value] | Sequence[str]) -> list[str]:
    """Hyper-parameters as the command line writes them."""
    return [f"{name}={value}" for name, value in settings.items()] if isinstance(settings, Mapping) else list(settings)


def identity_of(encoder: str, cache: Path, progress: Progress, preprocess: str = "") -> Identity:
    """What the encoder is; loads it, once, when the cache does not say. What was chosen for it is noted."""
    from croftbench import encoders

    recorded = encoders.identity(encoder, cache, preprocess)
    if recorded is None:
        progress.note(f"loading {encoder} for the first time ...")
        recorded = encoders.load(encoder, "cpu", cache, preprocess).identity
    if recorded.told:
        progress.note(recorded.told)
    return recorded
