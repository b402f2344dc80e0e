"""Published numbers, `results/reported/<source>.csv`: read and checked. Never ranked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError

from croftbench import texts
from croftbench.errors import DataError, UsageError, unknown
from croftbench.suites.language import FORBID

FPR = {"fpr95": "id-positive", "fpr95_percentile": "id-positive", "fpr95_ood_positive": "ood-positive"}
"""Metrics that name an FPR convention, which their rows must state too: readers of the CSV should not have to know."""


@dataclass(frozen=True)
class PublishedNumber:
    """One line of a file: one number, as printed at its source.

    Attributes:
        row: its row's name, one word; the lines of a row share everything but metric, split, scorer, value, band, note.
        source: paper, or repository and file, or thread.
        provenance: "primary" where the source measured it, "second-hand" where it quotes or does not say.
        suite: the suite that measures the same, of this version or a later one; "" where none is planned.
        method, backbone, weights, prompts: what was evaluated; encoders are called "<backbone>/<weights>".
        pool: which images or classes, as far as the source says.
        metric, split: together a column of that suite's leaderboard, where it has one.
        scorer: detection score; "" for accuracy, and where the source does not say.
        value: percent.
        fpr_convention: "id-positive" or "ood-positive" for an FPR, else "".
        shots, seeds: whole numbers, seeds separated by spaces; "" where not stated.
        band: points by which a repetition may differ; None where nobody stated one.
        suite_digest, weights_digest: first digits, for rows of our own; "" for others.
        note: what a reader should know.
    """

    __pydantic_config__: ClassVar = FORBID
    row: Annotated[str, Field(pattern=r"^\S+$")]
    source: Annotated[str, Field(min_length=1)]
    provenance: Literal["primary", "second-hand"]
    suite: str
    method: Annotated[str, Field(min_length=1)]
    backbone: str
    weights: str
    prompts: str
    pool: str
    metric: Literal["accuracy", "harmonic-mean", "auroc", "fpr95", "fpr95_percentile", "fpr95_ood_positive"]
    split: Annotated[str, Field(min_length=1)]
    scorer: str
    value: Annotated[float, Field(ge=0, le=100)]
    fpr_convention: Literal["", "id-positive", "ood-positive"]
    shots: Annotated[str, Field(pattern=r"^\d*$")]
    seeds: Annotated[str, Field(pattern=r"^(\d+( \d+)*)?$")]
    band: Annotated[float, Field(gt=0, le=100)] | None
    suite_digest: str
    weights_digest: str
    note: str

    @property
    def column(self) -> str:
        """The leaderboard column that holds the same quantity."""
        return f"{self.metric}/{self.split}"

    @property
    def encoder(self) -> str:
        """Our name of what was evaluated, as far as the source says."""
        return "/".join(part for part in (self.backbone, self.weights) if part)


COLUMNS = tuple(field.name for field in fields(PublishedNumber))
DETECTION = ("auroc", *FPR)
OWN = ("metric", "split", "scorer", "value", "fpr_convention", "band", "note")
"""What the lines of one row may differ in."""


@dataclass(frozen=True)
class PublishedRow:
    """A published row: at least one number; its lines are alike in everything but `OWN`."""

    numbers: tuple[PublishedNumber, ...]

    @property
    def head(self) -> PublishedNumber:
        """The first number, for what all share."""
        return self.numbers[0]

    @property
    def name(self) -> str:
        """The row's name."""
        return self.head.row

    def value(self, column: str, scorer: str) -> float | None:
        """The fraction printed for a leaderboard column with detection score `scorer`; None where there is none."""
        asked = scorer if column.split("/")[0] in DETECTION else ""
        printed = (one.value / 100 for one in self.numbers if (one.column, one.scorer) == (column, asked))
        return next(printed, None)

    def scorer(self, headline: str) -> str | None:
        """The score that its detection numbers are of: the headline where it has such, else its first.

        "" where its source does not say, None where it has no such numbers. The small print names any but the headline.
        """
        scorers = [one.scorer for one in self.numbers if one.metric in DETECTION]
        return headline if headline in scorers else next(iter(scorers), None)


# ------------------------------------------------------------------------------------- read


def read_all(results_dir: Path) -> list[PublishedRow]:
    """All published rows, by file name and then in the order of the files.

    Raises:
        DataError: a line that breaks a rule, by file and line.
    """
    return [row for path in sorted((results_dir / "reported").glob("*.csv")) for row in read(path)]


def read(path: Path) -> list[PublishedRow]:
    """The rows of one file, in its order.

    Raises:
        DataError: see `read_all`.
    """
    first, *lines = texts.rows(path) or [texts.Row(1, ())]
    header = first.cells
    if odd := sorted(set(header) ^ set(COLUMNS)) or (header if len(header) != len(COLUMNS) else []):
        state = "unknown or repeated" if odd[0] in header else "missing"
        raise _broken(path, first.number, f"column '{odd[0]}' is {state}")
    rows: dict[str, list[PublishedNumber]] = {}
    for line in lines:
        if len(line.cells) != len(header):
            raise _broken(path, line.number, f"{len(line.cells)} cells under {len(header)} columns")
        number = _number(path, line.number, dict(zip(header, line.cells, strict=True)))
        _check_fits(path, line.number, number, rows.setdefault(number.row, []))
        rows[number.row].append(number)
    return [PublishedRow(tuple(numbers)) for numbers in rows.values()]


@cache
def _numbers() -> TypeAdapter[PublishedNumber]:
    """Built once: it takes longer than all lines of all files."""
    return TypeAdapter(PublishedNumber)


def _number(path: Path, line: int, cells: dict[str, str]) -> PublishedNumber:
    try:
        number = _numbers().validate_python(cells | {"band": cells["band"] or None})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _broken(path, line, f"{place} is '{first['input']}': {first['msg']}") from None
    if number.fpr_convention != FPR.get(number.metric, ""):
        raise _broken(path, line, f"fpr_convention '{number.fpr_convention}' does not fit metric {number.metric}")
    return number


def _check_fits(path: Path, line: int, number: PublishedNumber, above: list[PublishedNumber]) -> None:
    """Same description as the row's earlier lines, another number."""
    if any((one.column, one.scorer) == (number.column, number.scorer) for one in above):
        raise _broken(path, line, f"row {number.row} has {number.column} twice")
    for name in COLUMNS:
        if above and name not in OWN and getattr(number, name) != getattr(above[0], name):
            raise _broken(path, line, f"row {number.row} has another {name} than above")


def _broken(path: Path, line: int, what: str) -> DataError:
    return DataError(f"{path}:{line}: {what}.", f"Columns and rules: {__name__}.PublishedNumber.")


# ------------------------------------------------------------------------------------- by name


def row_named(rows: list[PublishedRow], name: str) -> PublishedRow:
    """The row of that name.

    Raises:
        UsageError: there is none, or two files claim it.
    """
    namesakes = [row for row in rows if row.name == name]
    if not namesakes:
        raise unknown("published row", name, {row.name for row in rows})
    if len(namesakes) > 1:
        raise UsageError(f"published row '{name}' is in {len(namesakes)} files.", "Rename one of them.")
    return namesakes[0]
