"""A published row of base-to-new, harmonic mean and all, held against made-up runs of its suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from croftbench.errors import DataError
from croftbench.report import published
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.studies import reproduce

SHIPPED = Path(__file__).parents[2] / "results"


def runs_of(asked, base, new):
    """One run a seed and dataset whose accuracies average to `base` and `new`, though no dataset has either."""
    head, suite = asked.row.head, asked.suite
    spread = np.linspace(-0.2, 0.2, len(suite.folds))

    def run(seed, fold, more):
        spec = RunSpec(
            suite=suite.name, suite_digest=suite.digest, fold=fold, method=head.method, method_version=1, source="",
            params={}, encoder=head.encoder, weights_digest="w", transform="t", shots=asked.shots, seed=seed, views=8,
        )  # fmt: skip
        values = (("ID", "id", base + more), (suite.named[0], "named", new - more))
        scores = [Score(split, shift, "accuracy", value, value, value, 100) for split, shift, value in values]
        return RunResult(spec, tuple(scores), {}, {}, "2026-01-01T00:00:00Z")

    return [run(s, f.name, more) for s in asked.seeds for f, more in zip(suite.folds, spread, strict=True)]


def test_base_to_new_is_reproduced_or_not_by_all_three_numbers(tmp_path):
    asked = reproduce.target(published.row_named(published.read_all(SHIPPED), "maple/clip"))
    found = reproduce.judge(asked, runs_of(asked, 0.6934, 0.7422), tmp_path)
    columns = ["accuracy/id", "accuracy/new, named", "harmonic-mean/base-new"]
    assert [check.column for check in found.checks] == columns
    assert [check.measured for check in found.checks] == pytest.approx([69.34, 74.22, 71.70], abs=0.005)
    assert not found.failed
    worse = reproduce.judge(asked, runs_of(asked, 0.6934, 0.7322), tmp_path)
    assert [check.column for check in worse.failed] == columns[1:]


def test_a_method_without_named_classes_has_no_such_number(tmp_path):
    asked = reproduce.target(published.row_named(published.read_all(SHIPPED), "maple/clip"))
    runs = [replace(run, scores=run.scores[:1]) for run in runs_of(asked, 0.6934, 0.7422)]
    with pytest.raises(DataError, match="does not measure"):
        reproduce.judge(asked, runs, tmp_path)
