"""Per-image scores -> a run's numbers: accuracy on known classes, detection of unknown ones. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from croftbench import metrics
from croftbench.perimage import SplitTable
from croftbench.results import Score

DETECTION = {
    "auroc": metrics.auroc,
    "fpr95": metrics.fpr_at_tpr,
    "fpr95_ood_positive": metrics.fpr_at_tpr_ood_positive,
    "aupr": metrics.aupr,
}
SHIFTED = ("auroc", "fpr95")
"""What is also computed, for the headline scorer, with covariate-shifted images as the positives."""


def score(splits: Sequence[SplitTable], headline: str) -> Iterator[Score]:
    """All scores of one run.

    Args:
        splits: every test split; those of shift "id" and "covariate" hold known classes.
        headline: the scorer that is also computed against covariate-shifted positives.
    """
    known = [split for split in splits if split.shift != "semantic"]
    for split in known:
        estimate = metrics.accuracy(split.predicted, split.labels)
        yield Score(split.name, split.shift, "accuracy", *estimate, n_id=len(split.labels))
    for scorer in splits[0].scores:
        for unknown in (split for split in splits if split.shift == "semantic"):
            for inside in known:
                if inside.shift != "id" and scorer != headline:
                    continue
                for metric in DETECTION if inside.shift == "id" else SHIFTED:
                    estimate = DETECTION[metric](inside.scores[scorer], unknown.scores[scorer])
                    yield Score(
                        unknown.name, "semantic", metric, *estimate,
                        n_id=len(inside.labels), n_ood=len(unknown.labels), scorer=scorer, reference=inside.name,
                    )  # fmt: skip
