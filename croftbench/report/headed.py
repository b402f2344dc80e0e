"""A suite's runs with another score for the headline: one of the suite's own, a post-hoc one, or a method's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from croftbench.errors import unknown
from croftbench.report.rows import More, SuiteRuns
from croftbench.runs.posthoc import Posthoc
from croftbench.runs.results import RunResult, Score
from croftbench.scorers import SCORERS


def headed(source: SuiteRuns, scorer: str, more: More | None = None) -> SuiteRuns:
    """The same runs as if `scorer` were the suite's headline, their post-hoc numbers of it beside their own.

    Args:
        source: as read.
        scorer: as tables name it.
        more: see `SuiteRuns`.

    Raises:
        UsageError: no run has numbers of it.
        DataError: a record is damaged.
    """
    protocol = replace(source.suite.protocol, headline=scorer)
    records = [source.posthoc(run.spec) for run in source.runs]
    runs = tuple(
        replace(run, scores=(*run.scores, *_posthoc(run, record, scorer)))
        for run, record in zip(source.runs, records, strict=True)
    )
    if runs and not any(score.scorer == scorer for run in runs for score in run.scores):
        there = dict.fromkeys(score.scorer for run in runs for score in run.scores if score.scorer)
        raise unknown(
            "scorer of these runs", scorer, [*there, *(o.label for record in records for o in record.scorers)]
        )
    return replace(source, suite=replace(source.suite, protocol=protocol), runs=runs, more=more)


def _posthoc(run: RunResult, record: Posthoc, scorer: str) -> Iterator[Score]:
    """A run's post-hoc numbers of a score, in its present version; none where the run has its own."""
    if any(score.scorer == scorer for score in run.scores):
        return
    for one in record.scorers:
        if one.label == scorer and (one.scorer not in SCORERS or SCORERS[one.scorer].version == one.version):
            yield from one.scores
