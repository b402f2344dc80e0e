"""What a row of a table is called.

A row's name is its method and every value in which it differs from what `croftbench run` does without options:
"croft", "croft, lambda2=0". Whatever a table prints as a name can be typed again; see `report.typed`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from croftbench import plugins
from croftbench.errors import CroftbenchError, DataError
from croftbench.files import canonical
from croftbench.runs import planning
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

Settings = dict[str, str]
"""What may tell two rows of a method apart, as text."""
Usual = Callable[[RunSpec], tuple[Settings, Settings] | None]
"""What `croftbench run` would take in place of a run's settings, and these, whole; None where that is not known."""


def text(value: Any) -> str:
    """A hyper-parameter's value as `--set` takes it: 0 for 0.0."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if type(value) is int:  # as JSON has it, in a tenth of the time
        return str(value)
    return value if isinstance(value, str) else canonical(value)


def settings(spec: RunSpec) -> Settings:
    """What a leaderboard has no column for and may tell two configurations of a method apart."""
    own = {"version": str(spec.method_version), "source": spec.source[:6], "views": str(spec.views)}
    return {name: text(value) for name, value in spec.params.items()} | own | {"data": spec.data[:6]}


def usual(suite: Suite, cache: Path | None = None) -> Usual:
    """What a run on this suite takes without options, by its method, recipe and shots.

    It is not known of methods that are not installed here, or are of another version, and of runs that recorded other
    hyper-parameters than the method has now.
    """

    @functools.cache
    def known(
        method: str, source: str, version: int, recipe: str, shots: int
    ) -> tuple[Settings, dict[str, Any]] | None:
        try:
            if not plugins.is_registered(method):
                return None
            info = _info(method, cache)
            if (info.source, info.version) != (source, version):
                return None
            asked = None if recipe in ("", suite.recipe) else recipe
            params = planning.hyperparameters(suite, info, shots, asked)[1]
        except CroftbenchError:  # it does not import here, or does not know the recipe
            return None
        later = {name: of.default for name, of in info.params.items() if of.later}
        return {name: text(value) for name, value in (later | params).items()}, later

    def of(spec: RunSpec) -> tuple[Settings, Settings] | None:
        found = known(spec.method, spec.source, spec.method_version, spec.recipe, spec.shots)
        if found is None:
            return None
        base, later = found
        if not base.keys() - later.keys() <= spec.params.keys() <= base.keys():
            return None
        own = settings(replace(spec, params=later | dict(spec.params)))
        return base | {"version": str(spec.method_version), "views": str(suite.protocol.views)}, own

    return of


def named(specs: Sequence[RunSpec], suite: Suite | None = None, of: Usual = lambda spec: None) -> list[str]:
    """Each configuration's name: "croft, recipe=authors, lambda2=0.1".

    Where the usual values are not known, and for what has none, a setting is said in which the configurations of that
    method and recipe differ; one that a configuration lacks differs from any value. The work grows with the number of
    specifications, not with its square.
    """
    every = [(spec.method, recipe_of(spec, suite)) for spec in specs]
    known = [of(spec) or ({}, settings(spec)) for spec in specs]
    own = [values for _, values in known]
    unusual: dict[tuple[str, str], set[str]] = {}  # settings that have no usual value in every configuration
    for group, (base, values) in zip(every, known, strict=True):
        unusual.setdefault(group, set()).update(values.keys() - base.keys())
    seen: dict[tuple[tuple[str, str], str], set[str | None]] = {}
    for group, values in zip(every, own, strict=True):
        for name in unusual[group]:
            seen.setdefault((group, name), set()).add(values.get(name))
    names = []
    for spec, group, (base, values) in zip(specs, every, known, strict=True):
        said = [
            f"{name}={value}"
            for name, value in values.items()
            if (value != base[name] if name in base else len(seen[group, name]) > 1)
        ]
        names.append(", ".join([spec.method, *([f"recipe={group[1]}"] if group[1] else []), *said]))
    return names


def recipe_of(spec: RunSpec, suite: Suite | None) -> str:
    """The named recipe of a run, "" for the suite's own."""
    return "" if suite is not None and spec.recipe == suite.recipe else spec.recipe


def _info(method: str, cache: Path | None) -> plugins.MethodInfo:
    try:
        return plugins.describe(method, cache)
    except DataError:  # a cache that cannot be written to
        return plugins.describe(method, None)
