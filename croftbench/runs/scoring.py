"""Per-image scores -> a run's numbers: accuracy on known classes, detection of unknown ones. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import Score
from croftbench.stats import metrics

DETECTION = {
    "auroc": metrics.auroc,
    "fpr95": metrics.fpr_at_tpr,
    "fpr95_ood_positive": metrics.fpr_at_tpr_ood_positive,
    "aupr": metrics.aupr,
    "aupr_out": metrics.aupr_out,
}
OFFICIAL = DETECTION | {"fpr95_percentile": metrics.fpr_at_tpr_percentile}
"""What an official suite reports: also the rule by which its authors chose the operating point."""
SHIFTED = ("auroc", "fpr95")
"""What is also computed, for the headline scorer, with other positives than the suite's own."""
FULL_SPECTRUM = "full spectrum"
"""Reference of scores whose positives are ID and all covariate-shifted images together."""


def score(
    splits: Sequence[SplitTable],
    headline: str,
    id_filter: str = "all",
    full_spectrum: bool = False,
    official: bool = False,
) -> Iterator[Score]:
    """All scores of one run.

    Args:
        splits: every test split; all but those of shift "semantic" have the right answers as labels. Positives of
            detection are the split of shift "reference" if there is one, else that of shift "id".
        headline: the scorer that is also computed against covariate-shifted positives.
        id_filter: "correct": only correctly classified images are positives.
        full_spectrum: also compute the headline with ID and covariate-shifted images together as the positives.
        official: also the numbers of `OFFICIAL`.

    Where no image is left to be a positive there is no such score.
    """
    for split in splits:
        if split.shift != "semantic":
            estimate = metrics.accuracy(split.predicted, split.labels)
            yield Score(split.name, split.shift, "accuracy", *estimate, n_id=len(split.labels))
    main = "reference" if any(split.shift == "reference" for split in splits) else "id"
    positives = [split for split in splits if split.shift == main]
    others = [split for split in splits if split.shift in ("id", "covariate") and split.shift != main]
    every = tuple(OFFICIAL if official else DETECTION)
    for scorer in splits[0].scores:
        ways = [(split.name, _kept(split, scorer, id_filter), every) for split in positives]
        if scorer == headline:
            ways += [(split.name, _kept(split, scorer, id_filter), SHIFTED) for split in others]
        if scorer == headline and full_spectrum:
            parts = [_kept(split, scorer, id_filter) for split in splits if split.shift in ("id", "covariate")]
            ways.append((FULL_SPECTRUM, np.concatenate(parts), SHIFTED))
        for unknown in (split for split in splits if split.shift == "semantic"):
            for name, inside, wanted in ways:
                for metric in wanted if len(inside) else ():
                    yield Score(
                        unknown.name, "semantic", metric, *OFFICIAL[metric](inside, unknown.scores[scorer]),
                        n_id=len(inside), n_ood=len(unknown.labels), scorer=scorer, reference=name,
                    )  # fmt: skip


def _kept(split: SplitTable, scorer: str, id_filter: str) -> npt.NDArray[np.float32]:
    """Scores of a split's images that count as positives."""
    return split.scores[scorer][split.correct] if id_filter == "correct" else split.scores[scorer]
