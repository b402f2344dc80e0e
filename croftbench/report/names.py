"""What a row of a table is called, and which rows a name means.

A row's name is its method and every value in which it differs from what `croftbench run` does without options:
"croft", "croft, lambda2=0". Whatever a table prints as a name can be typed again; see `meant`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import plugins
from croftbench.errors import CroftbenchError, DataError, UsageError, unknown
from croftbench.files import canonical
from croftbench.report import populations
from croftbench.runs import planning
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.report.rows import Row

Settings = dict[str, str]
"""What may tell two rows of a method apart, as text."""
Usual = Callable[[RunSpec], tuple[Settings, Settings] | None]
"""What `croftbench run` would take in place of a run's settings, and these, whole; None where that is not known."""

ELSEWHERE = ("shots", "encoder", "weights", "transform", "precision")
"""Settings that tables have columns or captions for, and names do not hold."""

MARKS = re.compile(
    rf"\s*(?:[◆†≈]|\((?:imported|transductive|{populations.INCOMPLETE}|{populations.OTHER}|recipe: [^()]*|"
    r"\d+ of \d+ (?:shots|seeds|runs|folds)|\d+/\d+ runs(?:, not ranked)?)\))\s*$"
)
"""What tables put behind a name, which a typed name may have and does not need."""

_SETTING = re.compile(r"[,\s]+(?=[A-Za-z_][\w.]*=)")


def text(value: Any) -> str:
    """A hyper-parameter's value as `--set` takes it: 0 for 0.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else canonical(value)


def settings(spec: RunSpec) -> Settings:
    """What a leaderboard has no column for and may tell two configurations of a method apart."""
    own = {"version": str(spec.method_version), "source": spec.source[:6], "views": str(spec.views)}
    return {name: text(value) for name, value in spec.params.items()} | own | {"data": spec.data[:6]}


def usual(suite: Suite, cache: Path | None = None) -> Usual:
    """What a run on this suite takes without options, by its method, recipe and shots.

    It is not known of methods that are not installed here, or are of another version, and of runs that did not record
    every hyper-parameter that the method has now.
    """

    @functools.cache
    def known(
        method: str, source: str, version: int, recipe: str, shots: int
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
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
        return params, {name: of.default for name, of in info.params.items() if of.later}

    def of(spec: RunSpec) -> tuple[Settings, Settings] | None:
        found = known(spec.method, spec.source, spec.method_version, spec.recipe, spec.shots)
        if found is None or not spec.params.keys() >= found[0].keys() - found[1].keys():
            return None
        params, later = found
        base = {name: text(value) for name, value in (later | params).items()}
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
    there: dict[tuple[str, str], dict[str, None]] = {}
    for group, values in zip(every, own, strict=True):
        there.setdefault(group, {}).update(dict.fromkeys(values))
    seen: dict[tuple[tuple[str, str], str], set[str | None]] = {}
    for group, values in zip(every, own, strict=True):
        for name in there[group]:
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


# ------------------------------------------------------------------------------------- names that were typed


def bare(name: str) -> str:
    """A name without the marks that tables put behind it."""
    while (shorter := MARKS.sub("", name)) != name:
        name = shorter
    return name.strip()


def meant(rows: Sequence[Row], name: str) -> list[Row]:
    """Every row that a name may mean, at least one.

    A name is: the first digits of one of its runs' identifiers, at least 6; the name that a table prints; a pattern of
    such names ("croft*"); or a method with any of its settings ("croft lambda2=0.1 shots=3").

    Raises:
        UsageError: it fits none.
    """
    asked = bare(name)
    by_run = [row for row in rows if any(run.spec.run_id.startswith(asked) for run in row.runs)]
    if len(asked) >= 6 and len(by_run) == 1:
        return by_run
    exact = [row for row in rows if asked in _printed(row)]
    if not exact and set(asked) & set("*?"):
        exact = [row for row in rows if any(fnmatchcase(printed, asked) for printed in _printed(row))]
    return exact or _by_settings(rows, asked)


def choose(rows: Sequence[Row], asked: Iterable[str]) -> list[Row]:
    """The rows that the names mean, in their order; all where none is given.

    Raises:
        UsageError: a name that fits none.
    """
    names = list(asked)
    chosen = {id(row) for name in names for row in meant(rows, name)}
    return [row for row in rows if not names or id(row) in chosen]


def labels(rows: Sequence[Row]) -> list[str]:
    """Names that tell these rows apart, each of which can be typed: with shots or encoder where the names are alike."""
    described = [all_of(row) for row in rows]
    apart = [
        name
        for name in ELSEWHERE
        if any(
            len({d[name] for d, r in zip(described, rows, strict=True) if r.method == row.method}) > 1 for row in rows
        )
    ]
    return [
        ", ".join([bare(row.method), *(f"{name}={d[name]}" for name in apart)])
        for row, d in zip(rows, described, strict=True)
    ]


def all_of(row: Row) -> Settings:
    """All that may tell two configurations of a method apart."""
    spec = row.spec
    return settings(spec) | {
        "shots": str(spec.shots), "encoder": spec.encoder, "weights": spec.weights_digest[:6],
        "transform": spec.transform.replace(" ", "_"), "precision": spec.precision, "recipe": spec.recipe,
    }  # fmt: skip


def _printed(row: Row) -> Iterator[str]:
    """Every way in which a table or a picture prints a row's name, without marks."""
    name, shots = bare(row.method), f"{row.spec.shots} shots"
    yield name
    for encoder in (row.encoder, row.spec.encoder):
        yield from (f"{name}, {encoder}", f"{name}, {encoder}, {shots}", f"{name} ({encoder}, {shots})")
    yield f"{name}, {shots}"


def _by_settings(rows: Sequence[Row], asked: str) -> list[Row]:
    method, *given = _SETTING.split(asked)
    fitting = [row for row in rows if row.spec.method == method]
    if not rows:
        raise UsageError("there are no runs to compare.", "`croftbench run --method croft,zero-shot` makes some.")
    if not fitting:
        known = {row.spec.method for row in rows} | ({bare(row.method) for row in rows} if given else set())
        raise unknown("method with runs here", method if method not in known else asked, known)
    for setting in given:
        key, _, value = setting.partition("=")
        choices = {choice for row in fitting for choice in all_of(row)}
        if key not in choices:
            raise unknown(f"setting of {method}", key, choices)
        fitting, before = [row for row in fitting if _same(all_of(row).get(key), value)], fitting
        if not fitting:
            raise unknown(f"{key} of {method}", value, {all_of(row).get(key, "") for row in before})
    return fitting


def _same(one: str | None, typed: str) -> bool:
    """Whether a value is the one that was typed: 0 is 0.0, and True is true."""
    try:
        return one is not None and float(one) == float(typed)
    except ValueError:
        return one is not None and one.lower() == typed.strip().lower()


def _info(method: str, cache: Path | None) -> plugins.MethodInfo:
    try:
        return plugins.describe(method, cache)
    except DataError:  # a cache that cannot be written to
        return plugins.describe(method, None)
