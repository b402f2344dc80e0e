"""A small suite and made-up runs on it, written through the real result files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from croftbench.runs import per_image, results, scoring
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import ClassDraw, FoldSpec, Protocol, SemanticSpec, Suite


def make_suite(folds: int = 1, seeds: tuple[int, ...] = (1, 2, 3), version: int = 1) -> Suite:
    """One fold named "all", or two that leave out a style each; near and far semantic shift; energy is the headline."""
    if folds == 1:
        specs = (FoldSpec("all", ("noto",), ("twemoji",), {"line art": "contrast", "vintage": "noto-v1"}),)
    else:
        specs = (
            FoldSpec("flat", ("noto",), ("noto",), {"flat": "twemoji"}),
            FoldSpec("line art", ("noto",), ("noto",), {"line art": "contrast"}),
        )
    protocol = Protocol(3, seeds, 4, (0.5, 1.0), True, ("energy", "msp"), "energy")
    return Suite(
        "tiny",
        version,
        "A tiny suite",
        "c" * 64,
        ("a photo of a {}.",),
        ClassDraw("name", ("Food & Drink",), draw="random", known=0.4),
        specs,
        (SemanticSpec("near", "unknown-classes"), SemanticSpec("far", "splits", splits=("digits",))),
        protocol,
    )


def scores_of(suite: Suite, fold: str, base: float, n_id: int = 100) -> tuple[Score, ...]:
    """Scores around `base`: ID base, each covariate split .1 lower; FPR95 1 - base; AUROC base, .2 lower if shifted.

    ECE base / 2 and AURC base / 4, both .1 higher if shifted; 2% of the scores tie.
    """
    covariate = next(spec for spec in suite.folds if spec.name == fold).covariate

    def score(split: str, shift: Any, metric: str, value: float, *rest: Any) -> Score:
        return Score(split, shift, metric, value, max(0.0, value - 0.01), min(1.0, value + 0.01), n_id, *rest)

    rows = [score("ID", "id", "accuracy", base), *(score(n, "covariate", "accuracy", base - 0.1) for n in covariate)]
    for metric, value in (("ece", base / 2), ("aurc", base / 4)):
        rows.append(score("ID", "id", metric, value, 0, "msp"))
        rows.extend(score(name, "covariate", metric, value + 0.1, 0, "msp") for name in covariate)
    for semantic, n_ood in ((spec.name, 150 if spec.name == "near" else 60) for spec in suite.semantic):
        rows.append(score(semantic, "semantic", "fpr95", 1 - base, n_ood, "energy", "ID"))
        rows.append(score(semantic, "semantic", "fpr95", 0.999, n_ood, "msp", "ID"))
        rows.append(score(semantic, "semantic", "auroc", base, n_ood, "energy", "ID"))
        rows.append(score(semantic, "semantic", "fpr95_ood_positive", 0.9, n_ood, "energy", "ID"))
        rows.append(score(semantic, "semantic", "ties", 0.02, n_ood, "energy", "ID"))
        rows.extend(score(semantic, "semantic", "auroc", base - 0.2, n_ood, "energy", name) for name in covariate)
    return tuple(rows)


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., RunSpec]:
    """`add(suite, seed, base, fold=..., n_id=..., **fields of the spec)`: write a run to the test's folder."""

    def write(suite: Suite, seed: int, base: float, fold: str = "all", n_id: int = 100, **changed: Any) -> RunSpec:
        asked: dict[str, Any] = {
            "suite": suite.name,
            "suite_digest": suite.digest,
            "fold": fold,
            "method": "croft",
            "method_version": 1,
            "source": "",
            "params": {"lambda2": 0.03, "epochs": 30},
            "encoder": "emoji-clip/croftbench",
            "weights_digest": "w" * 64,
            "transform": "resize64",
            "shots": 3,
            "seed": seed,
            "views": 4,
        }
        spec = RunSpec(**asked | changed)
        scores = scores_of(suite, fold, base, n_id)
        results.write(tmp_path, RunResult(spec, scores, {}, {}, "2026-01-01T00:00:00Z"))
        return spec

    return write


@pytest.fixture
def tiny() -> Callable[..., Suite]:
    """`tiny(folds=1, seeds=(1, 2, 3), version=1)`: the suite."""
    return make_suite


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., RunSpec]:
    """`measure(suite, seed, skill=1.0, fold=..., **fields of the spec)`: a run with its per-image table.

    100 images of each known split, 150 near and 60 far; more `skill` gives more accuracy and better detection.
    """

    def write(suite: Suite, seed: int, skill: float = 1.0, fold: str = "all", **changed: Any) -> RunSpec:
        draw = np.random.default_rng([seed, int(100 * skill)])

        def split(name: str, shift: Any, n: int, shown: float) -> SplitTable:
            logits = draw.normal(0, 1, (n, 5))
            labels = draw.integers(0, 5, n) if shift != "semantic" else np.full(n, -1)
            logits[np.arange(n), labels] += shown
            total = np.exp(logits).sum(1)
            best = np.exp(logits.max(1))
            scores = {"energy": np.log(total), "msp": np.log(best / (total - best))}
            return SplitTable(
                name, shift, labels, logits.argmax(1), {k: v.astype(np.float32) for k, v in scores.items()}
            )

        covariate = next(spec for spec in suite.folds if spec.name == fold).covariate
        tables = [
            split("ID", "id", 100, 1 + skill),
            *(split(name, "covariate", 100, 0.5 + skill) for name in covariate),
            split("near", "semantic", 150, 0.4),
            split("far", "semantic", 60, 0),
        ]
        asked: dict[str, Any] = {
            "suite": suite.name, "suite_digest": suite.digest, "fold": fold, "method": "croft", "method_version": 1,
            "source": "", "params": {"lambda2": 0.03, "worst_case": True}, "encoder": "emoji-clip/croftbench",
            "weights_digest": "w" * 64, "transform": "resize64", "shots": 3, "seed": seed, "views": 4,
        }  # fmt: skip
        spec = RunSpec(**asked | changed)
        env, timings = {"python": "3.11.7", "commit": "abc1234"}, {"fit": 1.25, "score": 0.25}
        result = RunResult(spec, tuple(scoring.score(tables, "energy")), env, timings, "2026-01-01T00:00:00Z")
        per_image.write(tmp_path, spec, tables)
        results.write(tmp_path, result)
        return spec

    return write
