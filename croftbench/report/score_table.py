"""Every method by every detection score: those of its suite, post-hoc ones, and its own. Fractions, unrounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from operator import attrgetter
from typing import Any

import pandas as pd

from croftbench.errors import UsageError
from croftbench.files import canonical, digest
from croftbench.report.rows import Row, configuration
from croftbench.report.tables import DETECTION, STATISTICS, Board
from croftbench.runs.bundle import imported
from croftbench.runs.posthoc import Posthoc
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.scorers import SCORERS, parse
from croftbench.suites.language import Suite

FPR_MEAN = "fpr95/semantic-mean"
FIELDS = ("metric", "split", "value", "low", "high", "n_id", "n_ood")


@dataclass(frozen=True)
class ScoreBoard:
    """A suite's table of methods by scores.

    Attributes:
        main: the suite's leaderboard, whose order of methods this table keeps.
        table: one row a method and score: method, encoder, shots, scorer, source ("suite", "post-hoc" or "own"),
            ranked (nothing is missing), imported, transductive, runs, runs_expected, seeds; each of `metrics` with each
            suffix of `tables.STATISTICS`; n/id, n/<semantic split>, images a seed; not_applicable, the reasons;
            params, params_digest. A method's scores by falling mean AUROC.
        metrics: auroc/<split>, auroc/semantic-mean, fpr95/<split>, fpr95/semantic-mean.
        other_fits: runs with post-hoc scores of a later fit that does not give the run's own accuracies.
    """

    main: Board
    table: pd.DataFrame
    metrics: tuple[str, ...]
    other_fits: int = 0

    @property
    def near(self) -> str:
        """The semantic split of unknown classes in known manners, "" where the suite has none."""
        return next((s.name for s in self.main.suite.semantic if s.source == "unknown-classes"), "")


def board(main: Board, only: Sequence[RunSpec] = ()) -> ScoreBoard:
    """The table by score of a leaderboard that was read from a results folder.

    Args:
        main: the leaderboard: its runs, seeds and order of methods are taken.
        only: show the configurations of these runs alone; all where empty.

    Raises:
        DataError: a damaged post-hoc record.
    """
    wanted = {configuration(spec) for spec in only}
    other_fits = 0
    about: list[dict[str, Any]] = []
    scores: list[tuple[Any, ...]] = []
    for place, row in enumerate(main.rows):
        if wanted and row.configuration not in wanted:
            continue
        head = {"place": place, "method": row.method, "encoder": row.encoder}
        records = [main.source.posthoc(run.spec) if main.source else Posthoc(run.spec) for run in row.runs]
        other_fits += sum(any(not world.get("agrees", True) for world in one.environments) for one in records)
        for line in _rows(row, records, main.suite, main.seeds):
            scores += [(len(about), *score) for score in line.pop("scores")]
            about.append(head | line)
    metrics = _metrics(main.suite)
    table = pd.concat([pd.DataFrame(about), _numbers(scores, len(about), main.suite, metrics)], axis=1)
    table = table.sort_values(
        ["place", "ranked", DETECTION, "scorer"], ascending=[True, False, False, True], kind="stable"
    )
    return ScoreBoard(main, table[_columns(main.suite, metrics)].reset_index(drop=True), metrics, other_fits)


def _rows(row: Row, records: list[Posthoc], suite: Suite, seeds: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """What one method's rows are, a score each, with all their numbers under "scores"."""
    by_scorer: dict[str, list[tuple[Any, ...]]] = {}
    of = attrgetter(*FIELDS)
    sources: dict[str, str] = {}
    reasons: dict[str, dict[str, None]] = {}
    for run, record in zip(row.runs, records, strict=True):
        for scorer, source, scores, reason in _scored(run, record):
            sources.setdefault(scorer, source)
            where = run.spec.seed, run.spec.fold
            by_scorer.setdefault(scorer, []).extend((*where, *of(s)) for s in scores if s.metric in ("auroc", "fpr95"))
            if reason:
                reasons.setdefault(scorer, {})[reason] = None
    expected = set(product(seeds, [fold.name for fold in suite.folds]))
    spec = row.spec
    for scorer, rows in by_scorer.items():
        pairs = {row[:2] for row in rows}
        yield {
            "shots": spec.shots,
            "scorer": scorer,
            "source": sources[scorer],
            "ranked": pairs >= expected,
            "imported": any(map(imported, row.runs)),
            "transductive": row.transductive,
            "runs": len(pairs),
            "runs_expected": len(expected),
            "seeds": len({seed for seed, _ in pairs}),
            "not_applicable": "; ".join(reasons.get(scorer, ())),
            "params": canonical(spec.params),
            "params_digest": digest(spec.params)[:12],
            "scores": rows,
        }


def _scored(run: RunResult, record: Posthoc) -> Iterator[tuple[str, str, list[Score], str]]:
    """(score, source, its rows against the ID test, why it is not applicable) of one run."""
    inside = {score.split for score in run.scores if score.shift == "id"}
    for name in dict.fromkeys(score.scorer for score in run.scores if score.scorer):
        yield _label(name), "suite", [s for s in run.scores if s.scorer == name and s.reference in inside], ""
    for one in record.scorers:
        current = SCORERS[one.scorer].version == one.version if one.scorer in SCORERS else one.scorer == "own"
        if current:
            source = "own" if one.scorer == "own" else "post-hoc"
            yield one.label, source, [s for s in one.scores if s.reference in inside], one.not_applicable


@cache
def _label(name: str) -> str:
    """A suite's score under the name that a post-hoc one would have."""
    try:
        return parse(name).label
    except UsageError:  # of another version
        return name


def _numbers(scores: list[tuple[Any, ...]], rows: int, suite: Suite, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Each metric with each suffix of `STATISTICS`, and the numbers of images, by row."""
    tidy = pd.DataFrame(scores, columns=["row", "seed", "fold", *FIELDS])
    value, low, high = (
        _by_seed(tidy, of, suite).reindex(columns=metrics).groupby(level="row") for of in ("value", "low", "high")
    )
    parts = (value.mean(), value.std(ddof=1), value.min(), value.max(), low.mean(), high.mean())
    numbers = [part.add_suffix(suffix) for part, suffix in zip(parts, STATISTICS, strict=True)]
    counted = tidy[tidy["metric"] == "auroc"].groupby(["row", "split", "seed"])[["n_id", "n_ood"]].sum()
    images = counted.groupby(["row", "split"]).mean()  # over seeds; summed over folds before
    unknown = images["n_ood"].unstack("split").reindex(columns=[split.name for split in suite.semantic])
    known = images["n_id"].groupby("row").max().rename("n/id")
    return pd.concat([*numbers, known, unknown.add_prefix("n/")], axis=1).reindex(range(rows))


def _by_seed(tidy: pd.DataFrame, of: str, suite: Suite) -> pd.DataFrame:
    """Each metric by row and seed, folds averaged; then the means over semantic splits."""
    name = (tidy["metric"] + "/" + tidy["split"]).rename("name")
    table = tidy[of].groupby([tidy["row"], tidy["seed"], name]).mean().unstack("name")
    for metric, mean in (("auroc", DETECTION), ("fpr95", FPR_MEAN)):
        table[mean] = table.reindex(columns=[f"{metric}/{split.name}" for split in suite.semantic]).mean(axis=1)
    return table


def _metrics(suite: Suite) -> tuple[str, ...]:
    means = {"auroc": DETECTION, "fpr95": FPR_MEAN}
    return tuple(name for m, mean in means.items() for name in (*(f"{m}/{s.name}" for s in suite.semantic), mean))


def _columns(suite: Suite, metrics: tuple[str, ...]) -> list[str]:
    about = ["method", "encoder", "shots", "scorer", "source", "ranked", "imported", "transductive", "runs"]
    values = [f"{name}{suffix}" for name in metrics for suffix in STATISTICS]
    counts = ["n/id", *(f"n/{split.name}" for split in suite.semantic)]
    return [*about, "runs_expected", "seeds", *values, *counts, "not_applicable", "params", "params_digest"]
