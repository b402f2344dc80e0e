"""Results on disk: one write-once JSON a run, named by the hash of its specification."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from croftbench.draw.splits import Shift
from croftbench.errors import DataError
from croftbench.files import write_atomically
from croftbench.runs.spec import RunSpec

SCHEMA = 2
"""1 was written before 0.3.0, whose operating points, intervals and scores of probabilities are others."""


@dataclass(frozen=True, slots=True)
class Score:
    """One number, as a fraction in full precision, with its populations.

    Attributes:
        split: the test split; for detection, the semantic one (negatives).
        shift: what kind of shift `split` is.
        metric: "accuracy", "auroc", "fpr95" (share of OOD accepted when at least 95% of ID is), "fpr95_ood_positive"
            (share of ID rejected when at least 95% of OOD is), "aupr" and "aupr_out" (average precision with ID and
            with OOD positive), "fpr95_percentile" (official suites: the authors' rule), "ties" (see
            `stats.ties`); of known classes "ece" and "aurc". docs/metrics.md has the rules.
        value, low, high: the number and its 95% interval.
        n_id, n_ood: images of known and unknown classes that it was computed from.
        scorer: detection score, or "" for accuracy.
        reference: for detection, the split whose images are the positives; "" for accuracy.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    split: str
    shift: Shift
    metric: str
    value: float
    low: float
    high: float
    n_id: int
    n_ood: int = 0
    scorer: str = ""
    reference: str = ""


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        spec: what was asked.
        scores: tidy rows.
        env: the world it ran in: versions, git commit, device.
        timings: seconds by stage.
        created: UTC time, ISO 8601.
        needs: what the method declared (see `method.Needs`); empty in runs from before this was recorded.
        warnings: what a reader of the scores must be told (see `scoring.warnings`).
    """

    spec: RunSpec
    scores: tuple[Score, ...]
    env: Mapping[str, Any]
    timings: Mapping[str, float]
    created: str
    schema: int = SCHEMA
    needs: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def path_of(results: Path, spec: RunSpec) -> Path:
    """Where the run of `spec` is, or will be.

    Raises:
        DataError: a suite's or method's name that is no plain file name (they may come from packages and bundles).
    """
    return results / "runs" / file_of(spec)


def file_of(spec: RunSpec) -> str:
    """The file of the run of `spec`, below a folder of such files.

    Raises:
        DataError: see `path_of`.
    """
    for name in (spec.suite, spec.method):
        _check_folder_name(name)
    return f"{spec.suite}/{spec.method}/{spec.run_id}.json"


@cache  # tens of thousands of runs have a few names
def _check_folder_name(name: str) -> None:
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise DataError(f"'{name}' cannot name a folder.", "Use letters, digits, spaces and .+-_ in names.")


def write(results: Path, result: RunResult) -> Path:
    """Write a result once; a run that is already there stays as it is.

    Raises:
        DataError: the folder cannot be written to, or the disk is full; nothing half-written is left.
    """
    path = path_of(results, result.spec)
    if not path.exists():
        text = json.dumps(asdict(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(path, text, "--results")
    return path


def read(path: Path) -> RunResult:
    """Read one run back.

    Raises:
        DataError: not a run of this schema, or its content does not have the hash that its name says.
    """
    try:
        data = from_json(path.read_bytes())  # in half of json's time, and equal texts are one object
        check_schema(path, data["schema"])
        spec = RunSpec(**data["spec"])
        scores = scores_of(data["scores"])
        rest = {name: data[name] for name in ("env", "timings", "created", "schema")}
        needs, warnings = dict(data.get("needs", {})), tuple(data.get("warnings", ()))
        result = RunResult(spec, scores, **rest, needs=needs, warnings=warnings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a readable run: {error}.", "Delete it and run again.") from error
    file_of(spec)  # refuses names that lead out of the folder
    if spec.run_id != path.stem:
        raise DataError(f"{path} was changed: its content is run {spec.run_id}.", "Delete it and run again.")
    return result


def check_schema(path: Path, schema: int) -> None:
    """Refuse a record of another version: its numbers may mean something else.

    Raises:
        DataError: with what to do about it.
    """
    if schema != SCHEMA:
        older = "It is of an earlier version, with other definitions: move it away and run again."
        raise DataError(
            f"{path} has schema {schema}, this version reads {SCHEMA}.",
            older if schema < SCHEMA else "Update croftbench.",
        )


def scores_of(rows: object) -> tuple[Score, ...]:
    """Scores from their JSON data.

    Raises:
        ValueError: a field is missing, unknown or of another type; in one line.
    """
    try:
        return _SCORES.validate_python(rows)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"scores.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


_SCORES = TypeAdapter(tuple[Score, ...])


def read_all(results: Path, suite: str | None = None) -> Iterator[RunResult]:
    """All finished runs, of one suite or of all, in the order of their paths."""
    for path in sorted((results / "runs").glob(f"{suite or '*'}/*/*.json")):
        yield read(path)
