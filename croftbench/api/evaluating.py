"""Predictions that somebody made: every metric with its interval, from scores, or from a predictor on a suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from croftbench import plugins
from croftbench.api.plans import identity_of
from croftbench.api.running import ScoreLike, asked_of, shown, workbench
from croftbench.api.suite_choice import SuiteLike, suite_of
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import DataError, UsageError
from croftbench.locations import Folder, Folders
from croftbench.progress import Progress
from croftbench.runs import planning, scoring
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import Score
from croftbench.scorers import Asked

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from croftbench.method import Outputs, Predictor, Task
    from croftbench.runs.execute import Workbench

    Predicts = Callable[[Tensor], Outputs | Tensor]

Numbers = Sequence[Any] | np.ndarray[Any, Any]
"""(N,) numbers: a list, an array, a column, a tensor on the CPU."""

GIVEN = "given"
"""What scores are called whose scorer nobody named."""


def evaluate(
    source: Predicts | Numbers,
    unknown: Numbers | Mapping[str, Numbers] | None = None,
    *,
    predicted: Numbers | None = None,
    labels: Numbers | None = None,
    suite: SuiteLike = "emoji-open",
    encoder: str = EMBEDDED,
    preprocess: str | Path = "",
    seeds: Sequence[int] | None = None,
    scores: ScoreLike | Sequence[ScoreLike] = (),
    device: str = "auto",
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> pd.DataFrame:
    """Every metric with its 95% interval, of scores that were made elsewhere or of a predictor.

    With scores: `evaluate(id_scores, {"near": near_scores}, predicted=y_hat, labels=y)`. Scores are higher for what is
    in-distribution. With a predictor, (B, D) raw image features -> `Outputs` or (B, C) logits:
    `evaluate(predict, suite="emoji-open")` runs it on the suite's test splits. Nothing is written: only `run` records.

    Args:
        source: (N,) scores of known images, or a predictor of the suite's classes in their order.
        unknown: scores of unknown images; by name, where there are several sets.
        predicted, labels: (N,) classes of the known images, for accuracy.
        suite, encoder, preprocess, seeds, device, cache, data_root, manifests, progress: of a predictor, as in `run`.
        scores: of a predictor, beside the suite's own, as in `run`.

    Returns:
        One row a number: split, shift, metric, value, low, high (fractions), n_id, n_ood, scorer, reference; with a
        predictor, seed and fold.

    Raises:
        UsageError: nothing to evaluate, or arrays that do not fit one another.
        DataError: a score that is not a number.
    """
    import pandas as pd

    asked = asked_of(scores)
    if asked and not callable(source):
        raise UsageError("scores that are given are scored already.", "Leave scores=, which is for a predictor.")
    for one in asked:
        one.check_alone()
    if not callable(source):
        return pd.DataFrame([asdict(score) for score in _of_scores(source, unknown, predicted, labels)])
    if unknown is not None or predicted is not None or labels is not None:
        raise UsageError("a predictor makes its own predictions.", "Leave unknown=, predicted= and labels=.")
    folders = Folders.of(cache=cache, data_root=data_root, manifests=manifests)
    with shown(progress) as sink:
        identity_of(encoder, folders.cache, sink, str(preprocess))
        bench = workbench(suite_of(suite, folders), encoder, folders, device, sink, preprocess=str(preprocess))
        return pd.DataFrame(list(_of_predictor(source, bench, seeds, asked)))


def _of_predictor(
    predict: Predicts, bench: Workbench, seeds: Sequence[int] | None, asked: Sequence[Asked]
) -> Iterator[dict[str, Any]]:
    """Every score of every seed and fold; the predictor stands in for a method that learns nothing."""
    from croftbench.method import Needs, Outputs
    from croftbench.training import unit

    def outputs(features: Tensor) -> Outputs:
        answer = predict(features)
        return answer if isinstance(answer, Outputs) else Outputs(answer, unit(features))

    @dataclass(frozen=True)
    class Predictions:
        """A predictor that somebody brought."""

        needs: ClassVar[Needs] = Needs(train=False)
        version: ClassVar[int] = 1

        def fit(self, task: Task) -> Predictor:
            return outputs

    info = plugins.describe(Predictions, bench.cache)
    for job in planning.plan(bench.suite, info, bench.identity, bench.draws.content, seeds=seeds):
        result, _ = bench.run_on(bench.fold_of(job.spec, info, bank=bool(asked)), job.spec, info, asked=asked)
        for score in result.scores:
            yield {"seed": job.spec.seed, "fold": job.spec.fold} | asdict(score)


def _of_scores(
    known: Numbers, unknown: Numbers | Mapping[str, Numbers] | None, predicted: Numbers | None, labels: Numbers | None
) -> list[Score]:
    if (predicted is None) != (labels is None):
        raise UsageError("accuracy needs both predicted= and labels=.", "Give both, or neither.")
    named = {} if unknown is None else unknown if isinstance(unknown, Mapping) else {"unknown": unknown}
    if not named and labels is None:
        raise UsageError("there is nothing to evaluate.", "Give scores of unknown images, or predicted= and labels=.")
    inside = _scores("known", known)
    classes = [np.zeros(len(inside), np.int64) if a is None else np.asarray(a) for a in (labels, predicted)]
    if any(one.shape != inside.shape for one in classes):
        shapes = ", ".join(str(one.shape) for one in classes)
        raise UsageError(f"labels and predicted are of shapes {shapes}, the scores of {inside.shape}.", "One an image.")
    tables = [SplitTable("id", "id", classes[0], classes[1], {GIVEN: inside})]
    for name, values in named.items():
        outside = _scores(name, values)
        nothing = np.full(len(outside), -1)
        tables.append(SplitTable(name, "semantic", nothing, nothing, {GIVEN: outside}))
    return [score for score in scoring.score(tables, "") if labels is not None or score.metric != "accuracy"]


def _scores(name: str, values: Numbers) -> np.ndarray[Any, Any]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise UsageError(f"scores of '{name}' are of shape {array.shape}.", "One score an image, at least one image.")
    if not np.isfinite(array).all():
        where = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DataError(f"score {where} of '{name}' is {array[where]}.", "Scores are finite numbers.")
    return array
