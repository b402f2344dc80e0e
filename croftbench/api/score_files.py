"""A file of somebody's predictions, image by image: every metric with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from croftbench import texts
from croftbench.errors import DataError, UsageError
from croftbench.runs import scoring
from croftbench.runs.per_image import SplitTable

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "image": ("image", "image_id", "id", "path", "file", "filename", "key"),
    "set": ("set", "split", "dataset", "part"),
    "label": ("label", "target", "y", "truth", "labels"),
    "prediction": ("prediction", "predicted", "pred", "y_hat"),
}
"""What a column is -> what it may be called, in any case; every other column of numbers is a score."""

UNKNOWN = ("", "-1", "nan", "none", "unknown", "<na>")
"""Labels of images whose class is not among the known ones, in any case."""

NEEDED = "Write a row an image: image,set,label,prediction,score"

CALIBRATION = ("ece", "aurc")
"""What needs confidences, which a column of scores need not be."""

IGNORED = ("shift", "fold", "seed", "scorer", "position", "row")


def evaluate_file(
    path: str | Path, *, known: str = "id", scores: Sequence[str] = (), lower: bool = False
) -> pd.DataFrame:
    """Every metric with its 95% interval, of predictions in a CSV or Parquet file with a row an image.

    Columns: `image`, `set` (which test set; without it, rows with a label are known and the rest unknown), `label` and
    `prediction` (words or numbers; empty or -1 for an unknown class), and one or more columns of scores, higher for
    what is in-distribution. Sets with labels beside the known one are covariate shifts.

    Args:
        path: the file, ".csv" or ".parquet".
        known: name of the set of known images, the positives of detection.
        scores: columns of scores; every column of numbers that is nothing else where empty.
        lower: scores are lower for what is in-distribution.

    Returns:
        One row a number: split, shift, metric, value, low, high (fractions), n_id, n_ood, scorer, reference.

    Raises:
        UsageError: a column or the known set is not there.
        DataError: a row at fault, by its number.
    """
    import pandas as pd

    table = _read(Path(path))
    found, names = _columns(table), [str(name) for name in table]
    chosen = list(scores) or [c for c in names if c not in (*found.values(), *IGNORED) and _is_numbers(table[c])]
    for name in chosen:
        if name not in names:
            raise UsageError(f"{path} has no column '{name}' (it has {', '.join(names)}).", "Choose with --score.")
    if "label" not in found and "set" not in found:
        raise UsageError(f"{path} has no column of labels or sets (it has {', '.join(names) or 'none'}).", NEEDED)
    labels = _words(table, found.get("label"))
    predicted = _words(table, found.get("prediction"))
    unlabelled = np.isin(np.char.lower(labels), UNKNOWN)
    sets = _words(table, found.get("set")) if "set" in found else np.where(unlabelled, "unknown", known)
    if known not in sets:
        raise UsageError(
            f"{path} has no set '{known}' (it has {', '.join(sorted(set(sets)))}).", "Name it with --known."
        )
    _check_images(table, found.get("image"), sets)
    codes = {word: i for i, word in enumerate(sorted({*labels, *predicted}))}
    label = np.array([-1 if out else codes[word] for word, out in zip(labels, unlabelled, strict=True)])
    guess = np.array([codes[word] for word in predicted])
    numbers = {name: _numbers(path, table, name) * (-1 if lower else 1) for name in chosen}
    tables = []
    for name in [known, *(one for one in dict.fromkeys(sets.tolist()) if one != known)]:
        rows = np.flatnonzero(sets == name)
        bare = unlabelled[rows]
        if bare.any() and not bare.all():
            row = rows[np.flatnonzero(bare != bare[0])[0]]
            raise DataError(f"{path}, row {row + 1}: set '{name}' has rows with a label and rows without.", "Split it.")
        shift: Any = "id" if name == known else "semantic" if bare.all() else "covariate"
        if shift != "semantic" and not bare.all() and "prediction" in found:
            empty = np.flatnonzero(predicted[rows] == "")
            if len(empty):
                raise DataError(f"{path}, row {rows[empty[0]] + 1}: an image has no prediction.", "Give one for each.")
        tables.append(SplitTable(name, shift, label[rows], guess[rows], {k: v[rows] for k, v in numbers.items()}))
    answered = "label" in found and "prediction" in found and (label[sets == known] >= 0).all()
    if not answered and (len(tables) < 2 or not chosen):
        raise UsageError(f"{path} has nothing to evaluate.", "It needs labels and predictions, or scores of two sets.")
    made = scoring.score(tables, chosen[0] if chosen else "")
    left = (*CALIBRATION, *(() if answered else ("accuracy",)))
    return pd.DataFrame([asdict(one) for one in made if one.metric not in left])


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix in (".csv", ".tsv"):
            return _table(path)
    except texts.TextError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read {path}: {str(error).splitlines()[0]}.", "Check the path and the format."
        ) from error
    raise UsageError(f"{path} is no .csv, .tsv or .parquet file.", NEEDED)


def _table(path: Path) -> pd.DataFrame:
    """A table of text, as `texts.rows` reads it: its first row is the header."""
    import pandas as pd

    header, *rows = texts.rows(path) or [texts.Row(1, ())]
    width = len(header.cells)
    for row in rows:
        if len(row.cells) > width:
            raise DataError(f"{path}:{row.number}: {len(row.cells)} cells under {width} headers.", "Mend the line.")
    return pd.DataFrame([row.cells + ("",) * (width - len(row.cells)) for row in rows], columns=list(header.cells))


def _columns(table: pd.DataFrame) -> dict[str, str]:
    """What a column is -> what the file calls it."""
    lower = {str(name).casefold(): str(name) for name in table}
    firsts = {what: next((lower[one] for one in called if one in lower), "") for what, called in COLUMNS.items()}
    return {what: name for what, name in firsts.items() if name}


def _words(table: pd.DataFrame, column: str | None) -> np.ndarray[Any, Any]:
    """(N,) texts; empty ones without the column. A number that pandas made a fraction of for a gap is whole again."""
    if column is None:
        return np.full(len(table), "", dtype=np.str_)
    texts = ["" if value is None else str(value).strip() for value in table[column]]
    return np.array([t.removesuffix(".0") if t.removesuffix(".0").lstrip("-").isdigit() else t for t in texts], np.str_)


def _is_numbers(column: pd.Series[Any]) -> bool:
    try:
        column.astype(float)
    except (TypeError, ValueError):
        return False
    return True


def _numbers(path: str | Path, table: pd.DataFrame, column: str) -> np.ndarray[Any, Any]:
    values = []
    for row, text in enumerate(table[column], 1):
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value):
            what = f"{path}, row {row}: '{text}' in column '{column}' is no finite number."
            raise DataError(what, "Correct the file.")
        values.append(value)
    return np.array(values)


def _check_images(table: pd.DataFrame, column: str | None, sets: np.ndarray[Any, Any]) -> None:
    """An image counts once in a set."""
    met: dict[tuple[str, str], int] = {}
    for row, key in enumerate(zip(_words(table, column), sets, strict=True) if column else (), 1):
        if key in met:
            raise DataError(
                f"row {row}: image '{key[0]}' of set '{key[1]}' is in row {met[key]} already.", "Leave one."
            )
        met[key] = row
