"""Results on disk: one write-once JSON a run, named by the hash of its specification.

It ends in its own digest and holds that of the per-image table beside it, so that no number that anybody sees comes
from bytes that have changed since. What fails is an error that names the file: results are never made up for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from croftbench.draw.splits import Shift
from croftbench.errors import DataError
from croftbench.files import PACKED, check_seal, file_digest, sealed, unpacked, write_atomically
from croftbench.runs.spec import RunSpec

SCHEMA = 3
"""1 was written before 0.3.0, whose operating points, intervals and scores of probabilities are others; 2 had no
digests."""

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


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
    value: Fraction
    low: Fraction
    high: Fraction
    n_id: Count
    n_ood: Count = 0
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
        needs: what the method declared (see `method.Needs`).
        warnings: what a reader of the scores must be told (see `scoring.warnings`).
        table: SHA-256 of the per-image table; `write` sees to it. "" where there was none.
    """

    spec: RunSpec
    scores: tuple[Score, ...]
    env: Mapping[str, Any]
    timings: Mapping[str, float]
    created: str
    schema: int = SCHEMA
    needs: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    table: str = ""


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


def table_of(path: Path) -> Path:
    """Where the per-image table of the run at `path` is, or will be."""
    return path.with_suffix(".parquet")


def run_of(table: Path) -> Path:
    """Where the run of a per-image table is."""
    return table.with_suffix(".json")


def write(results: Path, result: RunResult) -> Path:
    """Write a result once, with the digest of the table that is beside it; a run that is already there stays as it is.

    Raises:
        DataError: the folder cannot be written to, or the disk is full; nothing half-written is left.
    """
    path = path_of(results, result.spec)
    if not path.exists():
        table = file_digest(table_of(path)) if table_of(path).is_file() else ""
        whole = replace(result, table=table)
        write_atomically(path, sealed(laid_out(asdict(whole), ["scores"])), "--results")
    return path


def laid_out(data: Mapping[str, Any], listed: Sequence[str]) -> str:
    """A record as JSON: a line for each field, and for each entry of those that are `listed`."""

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    def lines(name: str) -> str:
        if name not in listed:
            return text(data[name])
        return "[" + ",".join(f"\n  {text(one)}" for one in data[name]) + "\n ]"

    return "{\n" + ",\n".join(f' "{name}": {lines(name)}' for name in data) + "\n}"


def read(path: Path) -> RunResult:
    """Read one run back.

    Raises:
        DataError: not a run of this schema, a value that cannot be (an accuracy of 7.5), or content that was changed.
    """
    result = record(path, RunResult, again(path))
    file_of(result.spec)  # refuses names that lead out of the folder
    if result.spec.run_id != path.stem:
        raise DataError(f"{path} was changed: its content is run {result.spec.run_id}.", again(path))
    return result


def again(path: Path) -> str:
    """What to do about a run's damaged file: the hint of its error."""
    suite, method = path.parts[-3:-1]
    return (
        f"Restore it, or delete {path.stem}.json and .parquet and run again: "
        f"croftbench run --suite {suite} --method {method}"
    )


Record = TypeVar("Record")


def record(path: Path, kind: type[Record], hint: str) -> Record:
    """A sealed record of this schema, strictly of its type.

    Raises:
        DataError: it is not; the message names the value at fault.
    """
    try:
        content = unpacked(path.read_bytes()) if path.suffix == PACKED else path.read_bytes()
        if not _is_whole(content, kind):
            _check_fields(path, content, kind)
        whole: Record = _reader(cast(Any, kind)).validate_json(content, strict=True)
        check_seal(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is not readable: {where}: {first['msg']}.", hint) from error
    except OSError as error:
        look = (
            f"See what became of {path.parent}." if path.parent.is_dir() else f"{path.parent} has vanished meanwhile."
        )
        raise DataError(f"cannot read {path}: {error.strerror}.", look) from error
    except ValueError as error:
        raise DataError(f"{path} is not readable: {error}.", hint) from error
    return whole


def _is_whole(content: bytes, kind: type[Any]) -> bool:
    """Whether a record is of this schema and has every field, as far as its lines tell: `laid_out` gives each a line.

    Parsing it for this alone would take a fifth of the time of reading many. False says nothing yet.
    """
    at = 0
    for name in (of.name for of in fields(kind)):
        line = b'\n "schema": %d,\n' % SCHEMA if name == "schema" else b'\n "%s": ' % name.encode()
        at = content.find(line, at)  # nothing that is deeper begins a line so
        at = content.find(line) if at < 0 else at  # they are in order, mostly
        if at < 0:
            return False
    return True


def _check_fields(path: Path, content: bytes, kind: type[Any]) -> None:
    """Refuse what is no record of this schema, or lacks a field: defaults are for code, not for files.

    Raises:
        DataError: another schema.
        ValueError: with what is wrong.
    """
    data = from_json(content, allow_inf_nan=False)
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    check_schema(path, data.get("schema"))
    if missing := sorted({field.name for field in fields(kind)} - data.keys()):
        raise ValueError(f"it has no {', '.join(missing)}")


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check_schema(path: Path, schema: object) -> None:
    """Refuse a record of another version: its numbers may mean something else.

    Raises:
        DataError: with what to do about it.
    """
    if schema != SCHEMA:
        older = "It is of an earlier version, with other definitions: move it away and run again."
        raise DataError(
            f"{path} has schema {schema}, this version reads {SCHEMA}.",
            older if isinstance(schema, int) and schema < SCHEMA else "Update croftbench.",
        )


def read_all(results: Path, suite: str | None = None) -> Iterator[RunResult]:
    """All finished runs, of one suite or of all, in the order of their paths."""
    for path in sorted((results / "runs").glob(f"{suite or '*'}/*/*.json"), key=lambda path: path.parts):
        yield read(path)
