"""Per-image scores -> a run's numbers: accuracy on known classes, detection of unknown ones. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import Score
from croftbench.stats import calibration, metrics, ties
from croftbench.stats.detection import Detection
from croftbench.stats.intervals import Estimate

MEASURED: dict[str, Callable[[Detection], Estimate]] = {
    "auroc": Detection.auroc,
    "fpr95": Detection.fpr_at_tpr,
    "fpr95_ood_positive": Detection.fpr_at_tpr_ood_positive,
    "aupr": Detection.aupr,
    "aupr_out": Detection.aupr_out,
    "ties": Detection.ties,
}
OFFICIAL = MEASURED | {"fpr95_percentile": Detection.fpr_at_tpr_percentile}
"""What an official suite reports: also the rule by which its authors chose the operating point."""
SHIFTED = ("auroc", "fpr95")
"""What is also computed, for the headline scorer, with other positives than the suite's own."""
FULL_SPECTRUM = "full spectrum"
"""Reference of scores whose positives are ID and all covariate-shifted images together."""
CONFIDENCE = "msp"
"""The score whose probability is the confidence of ECE and AURC: the largest softmax probability over the classes."""


def score(
    splits: Sequence[SplitTable],
    headline: str,
    id_filter: str = "all",
    full_spectrum: bool = False,
    official: bool = False,
) -> Iterator[Score]:
    """All scores of one run.

    Args:
        splits: every test split; all but those of shift "semantic" have the right answers as labels. Which are the
            positives of detection, `positives` says.
        headline: the scorer that is also computed against covariate-shifted positives.
        id_filter: "correct": only correctly classified images are positives.
        full_spectrum: also compute the headline with ID and covariate-shifted images together as the positives.
        official: also the numbers of `OFFICIAL`.

    Where no image is left to be a positive there is no such score, and no "ece" and "aurc" without `CONFIDENCE`.
    """
    for split in splits:
        if split.shift != "semantic":
            estimate = metrics.accuracy(split.predicted, split.labels)
            yield Score(split.name, split.shift, "accuracy", *estimate, n_id=len(split.labels))
        if split.shift in ("id", "covariate") and CONFIDENCE in split.scores:
            yield from _confidence(split)
    main = positives(splits)
    others = [split for split in splits if split.shift in ("id", "covariate") and split.shift != main[0].shift]
    for scorer in splits[0].scores:
        own = tuple(OFFICIAL if official else MEASURED)
        ways = [(split.name, _kept(split, scorer, id_filter), own) for split in main]
        if scorer == headline:
            ways += [(split.name, _kept(split, scorer, id_filter), SHIFTED) for split in others]
        if scorer == headline and full_spectrum:
            parts = [_kept(split, scorer, id_filter) for split in splits if split.shift in ("id", "covariate")]
            ways.append((FULL_SPECTRUM, np.concatenate(parts), SHIFTED))
        for unknown in (split for split in splits if split.shift == "semantic"):
            for name, inside, wanted in ways:
                if not len(inside):
                    continue
                found = Detection(inside, unknown.scores[scorer])
                for metric in wanted:
                    yield Score(
                        unknown.name, "semantic", metric, *OFFICIAL[metric](found),
                        n_id=len(inside), n_ood=len(unknown.labels), scorer=scorer, reference=name,
                    )  # fmt: skip


def positives(splits: Sequence[SplitTable]) -> list[SplitTable]:
    """The positives of detection: splits of shift "reference" if there is one, else those of shift "id"."""
    main = "reference" if any(split.shift == "reference" for split in splits) else "id"
    return [split for split in splits if split.shift == main]


def warnings(scores: Iterable[Score]) -> Iterator[str]:
    """What a reader of a run's numbers must be told, one line each: scores that tie (see `stats.ties`)."""
    for score in scores:
        if score.metric == "ties" and score.value > ties.LIMIT:
            yield (
                f"{100 * score.value:.0f}% of the {score.scorer} scores of {score.reference} and {score.split} tie "
                f"across the two: AUROC, AUPR and FPR95 depend on how ties count."
            )


def _confidence(split: SplitTable) -> Iterator[Score]:
    """Calibration and selection on a split of known classes."""
    sure = calibration.probability(split.scores[CONFIDENCE])
    for metric, estimate in (
        ("ece", calibration.ece(sure, split.correct)),
        ("aurc", calibration.aurc(split.scores[CONFIDENCE], split.correct)),
    ):
        yield Score(split.name, split.shift, metric, *estimate, n_id=len(split.labels), scorer=CONFIDENCE)


def _kept(split: SplitTable, scorer: str, id_filter: str) -> npt.NDArray[np.float32]:
    """Scores of a split's images that count as positives."""
    return split.scores[scorer][split.correct] if id_filter == "correct" else split.scores[scorer]
