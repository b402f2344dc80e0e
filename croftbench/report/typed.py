"""Names that people type: which rows of a table they mean.

Whatever a table or a picture prints as a row's name is understood, with its marks or without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from croftbench.errors import UsageError, unknown
from croftbench.report import populations
from croftbench.report.naming import Settings, settings
from croftbench.report.rows import Row

ELSEWHERE = ("shots", "encoder", "weights", "transform", "precision")
"""Settings that tables have columns or captions for, and names do not hold."""

MARKS = re.compile(
    rf"\s*(?:[◆†≈]|\((?:imported|transductive|{populations.INCOMPLETE}|{populations.OTHER}|recipe: [^()]*|"
    r"\d+ of \d+ (?:shots|seeds|runs|folds)|\d+/\d+ runs(?:, not ranked)?)\))\s*$"
)
"""What tables put behind a name, which a typed name may have and does not need."""

_SETTING = re.compile(r"[,\s]+(?=[A-Za-z_][\w.]*=)")


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
    if exact:
        return exact
    method, *given = _SETTING.split(asked)
    elsewhere = [setting for setting in given if setting.partition("=")[0] in ELSEWHERE]
    own = [setting for setting in given if setting not in elsewhere]
    called = [row for row in rows if bare(row.method) == ", ".join([method, *own])]
    return _narrowed(called, method, elsewhere) if called else _by_settings(rows, asked, method, given)


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


def _by_settings(rows: Sequence[Row], asked: str, method: str, given: Sequence[str]) -> list[Row]:
    fitting = [row for row in rows if row.spec.method == method]
    if not rows:
        raise UsageError("there are no runs to compare.", "`croftbench run --method zero-shot,croft` makes some.")
    if not fitting:
        known = {row.spec.method for row in rows} | ({bare(row.method) for row in rows} if given else set())
        raise unknown("method with runs here", method if method not in known else asked, known)
    return _narrowed(fitting, method, given)


def _narrowed(fitting: list[Row], method: str, given: Sequence[str]) -> list[Row]:
    """Those with all of the settings."""
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
