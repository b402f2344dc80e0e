"""A run's numbers, computed again from its per-image table and compared. For runs that somebody else made. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from croftbench.errors import DataError
from croftbench.runs import per_image, scoring
from croftbench.runs.results import RunResult, Score

MAX_ROWS = 5_000_000
"""Images in one table that somebody else made."""

TOLERANCE = 1e-9
"""A number computed again may differ by this much: float64 sums in another order. On the same versions it is equal."""
DRAWN_TOLERANCE = 0.05
"""For the interval ends of FPR95, which come from NumPy's random streams: those may change between its versions."""


def check(result: RunResult, table: Path) -> None:
    """Every stored number is the one that the table gives, and none is missing or made up.

    Raises:
        DataError: a number differs by more than the tolerance, or the table is damaged, too large or not one of a run.
    """
    try:
        again = _again(result, table)
    except DataError:
        raise
    except Exception as error:  # metrics of a table that is none: no row, no column, other types
        raise DataError(f"its per-image table is none: {type(error).__name__}: {error}.") from error
    stored, recomputed = ({_what(score): score for score in scores} for scores in (result.scores, again))
    if stored.keys() != recomputed.keys() or len(result.scores) != len(again):
        odd = sorted(map(str, stored.keys() ^ recomputed.keys())) or ["one that is there twice"]
        raise DataError(f"its scores are not those that its per-image table gives: {odd[0]}.")
    if result.warnings != tuple(scoring.warnings(again)):
        raise DataError("its warnings are not those that its per-image table gives.")
    for what, score in stored.items():
        for field in ("value", "low", "high"):
            drawn = field != "value" and score.metric.startswith("fpr95")
            one, two = float(getattr(score, field)), float(getattr(recomputed[what], field))
            if not abs(one - two) <= (DRAWN_TOLERANCE if drawn else TOLERANCE):  # NaN is never within
                label = " ".join(part for part in (score.metric, score.split, score.scorer) if part)
                raise DataError(f"{field} of {label} is {one:.6f}, its per-image table gives {two:.6f}.")


def _again(result: RunResult, table: Path) -> list[Score]:
    """The scores that the table gives; the run's own scores say by which protocol: headline, filter, its metrics."""
    splits = per_image.read(table, result.table, MAX_ROWS)
    images = {split.name: len(split.labels) for split in splits}
    main = "reference" if any(split.shift == "reference" for split in splits) else "id"
    others = {split.name for split in splits if split.shift in ("id", "covariate") and split.shift != main}
    detection = [score for score in result.scores if score.reference]
    headline = next((score.scorer for score in detection if score.reference in {*others, scoring.FULL_SPECTRUM}), "")
    correct = any(score.n_id != images.get(score.reference, score.n_id) for score in detection) or not detection
    full = any(score.reference == scoring.FULL_SPECTRUM for score in detection)
    official = any(score.metric not in scoring.MEASURED for score in detection)
    return list(scoring.score(splits, headline, "correct" if correct else "all", full, official))


def _what(score: Score) -> tuple[Any, ...]:
    return score.split, score.shift, score.metric, score.scorer, score.reference, score.n_id, score.n_ood
