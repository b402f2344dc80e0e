"""Which runs make one row of a leaderboard, which must not share a table, and what the rows are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from croftbench.errors import DataError
from croftbench.files import canonical
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec

CONFIGURATION = ("method", "method_version", "source", "params", "encoder", "weights_digest", "shots", "views")
"""Fields of a RunSpec that make two runs different rows of a leaderboard; seeds and folds are averaged over."""


def configuration(spec: RunSpec) -> str:
    """The same text for runs of one row, another for any other."""
    fields: Mapping[str, Any] = asdict(spec)
    return canonical({name: fields[name] for name in CONFIGURATION})


def check_comparable(specs: Sequence[RunSpec]) -> None:
    """Same suite, digest and precision everywhere; one transform per encoder, since each encoder brings its own.

    Raises:
        DataError: two runs that must not share a table, by name, and in what they differ.
    """
    first: dict[str, RunSpec] = {}
    for spec in specs:
        of_encoder = first.setdefault(spec.encoder, spec)
        for field, other in (
            ("suite", specs[0]),
            ("suite_digest", specs[0]),
            ("precision", specs[0]),
            ("transform", of_encoder),
        ):
            one, two = (str(getattr(of, field)) for of in (other, spec))
            if one != two:
                raise DataError(
                    f"runs {other.run_id} and {spec.run_id} differ in {field} ({one} and {two}) and must not "
                    f"share a table.",
                    "Keep them in separate folders with --results.",
                )


def labels(specs: Sequence[RunSpec]) -> list[dict[str, str]]:
    """Method and encoder of each row as shown: the name, and whatever tells it from the others of that name."""
    described = [
        {**spec.params, "version": spec.method_version, "source": spec.source[:6], "views": spec.views}
        for spec in specs
    ]
    weights: dict[str, set[str]] = {}
    for spec in specs:
        weights.setdefault(spec.encoder, set()).add(spec.weights_digest)
    found = []
    for spec, own in zip(specs, described, strict=True):
        same = [other for of, other in zip(specs, described, strict=True) if of.method == spec.method]
        shown = [f"{name}={_plain(value)}" for name, value in own.items() if _differs(name, same)]
        several = len(weights[spec.encoder]) > 1
        encoder = f"{spec.encoder} ({spec.weights_digest[:6]})" if several else spec.encoder
        found.append({"method": " ".join([spec.method, *shown]), "encoder": encoder})
    return found


def marked(name: str, row: Mapping[Any, Any]) -> str:
    """A row's name with what every table must say of it: that its numbers are imported, or transductive."""
    return name + "".join(f" ({mark})" for mark in ("imported", "transductive") if row[mark])


def transductive(runs: Iterable[RunResult]) -> bool:
    """Whether the outputs of an image depended on those beside it; runs from before this was recorded say no."""
    return any(run.needs.get("transductive", False) for run in runs)


def _differs(name: str, described: list[dict[str, Any]]) -> bool:
    return len({canonical(one.get(name)) for one in described}) > 1


def _plain(value: object) -> str:
    return value if isinstance(value, str) else canonical(value)
