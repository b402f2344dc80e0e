"""Every method by every detection score: those of its suite, post-hoc ones, and its own. Fractions, unrounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Any

import pandas as pd

from croftbench.errors import UsageError
from croftbench.report import columns
from croftbench.report.board_scores import Listed, listed
from croftbench.report.columns import DETECTION, TIES, Column
from croftbench.report.populations import NONE
from croftbench.report.rows import Row, SeedFold, configuration
from croftbench.report.tables import ENDS, STATISTICS, Board
from croftbench.runs.posthoc import Posthoc
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.scorers import CODE, SCORERS, parse
from croftbench.suites.language import Suite

Codes = Mapping[str, Collection[str]]
"""Score that a user wrote -> digests of its source; where there are several, its names are told apart by them."""

METRICS = ("auroc", "fpr95", "ties")
SCORE_COLUMNS = ("seed", "fold", "metric", "split", "value", "low", "high", "n_id", "n_ood")


@dataclass(frozen=True)
class ScoreBoard:
    """A suite's table of methods by scores.

    Attributes:
        main: the suite's leaderboard, whose order of methods this table keeps.
        table: one row a method and score: method, encoder, shots, scorer, source ("suite", "post-hoc" or "own"),
            stream (of a score of a stream, the order of its images and the batch; else ""), ranked (nothing is
            missing), imported, transductive, runs, runs_expected, seeds; each of `metrics` with each
            suffix of `tables.STATISTICS`; n/id, n/<semantic split>, images a seed; not_applicable, the reasons;
            params, params_digest, run_ids. A method's scores by falling mean AUROC.
        columns: AUROC and FPR95 of every open set, their means by level and over all, and the share of ties.
        other_fits: runs with post-hoc scores of a later fit that does not give the run's own accuracies.
    """

    main: Board
    table: pd.DataFrame
    columns: tuple[Column, ...]
    other_fits: int = 0

    @cached_property
    def records(self) -> list[dict[Any, Any]]:
        """The rows of `table`, each as a dictionary."""
        return self.table.to_dict("records")

    @property
    def near(self) -> str:
        """The semantic split of unknown classes in known manners, "" where the suite has none."""
        return next((s.name for s in self.main.suite.semantic if s.source == "unknown-classes"), "")


def board(main: Board, only: Sequence[RunSpec] = ()) -> ScoreBoard:
    """The table by score of a leaderboard that was read from a results folder.

    Args:
        main: the leaderboard: its runs, seeds and order of methods are taken, its published rows are not.
        only: show the configurations of these runs alone; all where empty.

    Raises:
        DataError: a damaged post-hoc record.
    """
    wanted = {configuration(spec) for spec in only}
    other_fits = 0
    about: list[dict[str, Any]] = []
    scores: list[Sequence[Any]] = []
    lines: list[int] = []  # which of `about` each of `scores` is of
    chosen = [(place, row) for place, row in enumerate(main.rows) if not wanted or row.configuration in wanted]
    read = [
        [main.source.posthoc(run.spec) if main.source else Posthoc(run.spec) for run in row.summed] for _, row in chosen
    ]
    codes: dict[str, set[str]] = {}
    for one in (one for records in read for record in records for one in record.scorers if CODE in one.files):
        codes.setdefault(one.label, set()).add(one.files[CODE])
    for (place, row), records in zip(chosen, read, strict=True):
        other_fits += sum(any(not world.get("agrees", True) for world in one.environments) for one in records)
        for line, its_scores in _lines(row, records, main.suite, main.seeds, codes):
            lines += [len(about)] * len(its_scores)
            scores += its_scores
            about.append({"place": place} | line)
    of_suite, main = _columns(main.suite), main.measured
    if not about:  # nothing was detected: of an official protocol's positives, the correct ones, there are none
        return ScoreBoard(main, pd.DataFrame(columns=_order(main.suite, of_suite)), of_suite)
    numbers = _numbers(scores, lines, main.suite, of_suite).reindex(range(len(about)))
    table = pd.concat([pd.DataFrame(about), numbers], axis=1)
    table = table.sort_values(
        ["place", "ranked", DETECTION, "scorer"], ascending=[True, False, False, True], kind="stable"
    )
    return ScoreBoard(main, table[_order(main.suite, of_suite)].reset_index(drop=True), of_suite, other_fits)


def _lines(
    row: Row, records: list[Posthoc], suite: Suite, seeds: tuple[int, ...], codes: Codes
) -> Iterator[tuple[dict[str, Any], list[Sequence[Any]]]]:
    """What a configuration's lines of the table are, one a score, each with its numbers as `SCORE_COLUMNS`."""
    by_scorer: dict[str, list[Sequence[Any]]] = {}
    pairs: dict[str, set[SeedFold]] = {}
    sources: dict[str, str] = {}
    streams: dict[str, str] = {}
    reasons: dict[str, dict[str, None]] = {}
    for run, record in zip(row.summed, records, strict=True):
        seed, fold = run.spec.seed, run.spec.fold
        for scorer, source, stream, scores, reason in _scored(run, record, codes):
            sources.setdefault(scorer, source)
            streams[scorer] = streams.get(scorer) or stream
            numbers = [
                (seed, fold, s.metric, s.split, s.value, s.low, s.high, s.n_id, s.n_ood)
                for s in scores
                if s.metric in METRICS
            ]
            by_scorer.setdefault(scorer, []).extend(numbers)
            pairs.setdefault(scorer, set()).update([(seed, fold)] if numbers else [])
            if reason:
                reasons.setdefault(scorer, {})[reason] = None
    expected = set(product(seeds, [fold.name for fold in suite.folds]))
    shared = {
        "method": row.method,
        "encoder": row.encoder,
        "shots": row.spec.shots,
        "imported": row.imported,
        "transductive": row.transductive,
        "recipe": row.recipe(suite),
        "caveat": row.caveat,
        "runs_expected": len(expected),
        "params": row.params,
        "params_digest": row.params_digest,
        "run_ids": " ".join(run.spec.run_id for run in row.runs),
    }
    for scorer, its_scores in by_scorer.items():
        its_pairs = pairs[scorer]
        yield (
            shared
            | {
                "scorer": scorer,
                "source": sources[scorer],
                "stream": streams[scorer],
                "ranked": its_pairs >= expected and row.caveat == NONE,
                "runs": len(its_pairs),
                "seeds": len({seed for seed, _ in its_pairs}),
                "not_applicable": "; ".join(reasons.get(scorer, ())),
            },
            its_scores,
        )


def _scored(run: RunResult, record: Posthoc, codes: Codes) -> Iterator[tuple[str, str, str, list[Score], str]]:
    """(score, source, stream, its numbers against the ID test, why it is not applicable) of one run."""
    of = listed(run)
    for label, places in _by_scorer(of).items():
        yield label, "suite", "", [run.scores[at] for at in places], ""
    inside = _inside(of)
    for one in record.scorers:
        own = one.files.get(CODE, "")
        current = SCORERS[one.scorer].version == one.version if one.scorer in SCORERS else own or one.scorer == "own"
        if current:
            source = "own" if one.scorer == "own" else "post-hoc"
            label = f"{one.label} @{own[:6]}" if len(codes.get(one.label, ())) > 1 else one.label
            stream = f"{one.stream['order']}, batch {one.stream['batch']}" if one.stream else ""
            yield label, source, stream, [s for s in one.scores if s.reference in inside], one.not_applicable


@cache
def _by_scorer(of: tuple[Listed, ...]) -> Mapping[str, Sequence[int]]:
    """Positions of each score's numbers against the ID test, by the label that the score would have post-hoc."""
    places: dict[str, list[int]] = {}
    inside = _inside(of)
    for at, (metric, _, _, reference, scorer) in enumerate(of):
        if scorer and metric in METRICS:
            places.setdefault(_label(scorer), []).extend([at] if reference in inside else [])
    return places


@cache
def _inside(of: tuple[Listed, ...]) -> frozenset[str]:
    """The ID test splits."""
    return frozenset(split for _, split, shift, _, _ in of if shift == "id")


@cache
def _label(name: str) -> str:
    """A suite's score under the name that a post-hoc one would have."""
    try:
        return parse(name).label
    except UsageError:  # of another version
        return name


def _numbers(
    scores: list[Sequence[Any]], lines: Sequence[int], suite: Suite, of_suite: Sequence[Column]
) -> pd.DataFrame:
    """Each metric with each suffix of `STATISTICS`, and the numbers of images, by row; `lines`: of each score."""
    tidy = pd.DataFrame(scores, columns=list(SCORE_COLUMNS)).assign(row=lines)
    name = (tidy["metric"] + "/" + tidy["split"]).astype("category").rename("name")
    value, low, high = (_by_seed(tidy, of, name, of_suite).groupby(level="row") for of in ENDS)
    parts = (value.mean(), value.std(ddof=1), value.min(), value.max(), low.mean(), high.mean())
    numbers = [part.add_suffix(suffix) for part, suffix in zip(parts, STATISTICS, strict=True)]
    counted = tidy[tidy["metric"] == "auroc"].groupby(["row", "split", "seed"])[["n_id", "n_ood"]].sum()
    images = counted.groupby(["row", "split"]).mean()  # over seeds; summed over folds before
    unknown = images["n_ood"].unstack("split").reindex(columns=[split.name for split in suite.semantic])
    known = images["n_id"].groupby("row").max().rename("n/id")
    return pd.concat([*numbers, known, unknown.add_prefix("n/")], axis=1)


def _by_seed(tidy: pd.DataFrame, of: str, name: pd.Series[Any], of_suite: Sequence[Column]) -> pd.DataFrame:
    """Each metric by row and seed, made of what its folds average to."""
    numbers = tidy[of].groupby([tidy["row"], tidy["seed"], name], observed=True).mean().unstack("name")
    numbers.columns = numbers.columns.astype(str)
    return pd.DataFrame({column.name: column.of(numbers) for column in of_suite})


def _columns(suite: Suite) -> tuple[Column, ...]:
    ties = (column for column in columns.columns(suite) if column.name == TIES)
    return (*columns.detection(suite, "auroc"), *columns.detection(suite, "fpr95"), *ties)


def _order(suite: Suite, of_suite: Sequence[Column]) -> list[str]:
    about = [
        "method",
        "encoder",
        "shots",
        "scorer",
        "source",
        "stream",
        "ranked",
        "imported",
        "transductive",
        "recipe",
        "caveat",
        "runs",
    ]
    values = [f"{column.name}{suffix}" for column in of_suite for suffix in STATISTICS]
    counts = ["n/id", *(f"n/{split.name}" for split in suite.semantic)]
    return [*about, "runs_expected", "seeds", *values, *counts, "not_applicable", "params", "params_digest", "run_ids"]
