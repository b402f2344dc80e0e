"""A small suite and made-up runs on it, written through the real result files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from croftbench import results
from croftbench.results import RunResult, Score
from croftbench.specs import ClassDraw, FoldSpec, Protocol, RunSpec, SemanticSpec, Suite


def make_suite(folds: int = 1, seeds: tuple[int, ...] = (1, 2, 3), version: int = 1) -> Suite:
    """One fold named "all", or two that leave out a style each; near and far semantic shift; energy is the headline."""
    if folds == 1:
        specs = (FoldSpec("all", ("noto",), "twemoji", {"line art": "contrast", "vintage": "noto-v1"}),)
    else:
        specs = (
            FoldSpec("flat", ("noto",), "noto", {"flat": "twemoji"}),
            FoldSpec("line art", ("noto",), "noto", {"line art": "contrast"}),
        )
    protocol = Protocol(3, seeds, 4, (0.5, 1.0), True, ("energy", "msp"), "energy")
    return Suite(
        "tiny",
        version,
        "A tiny suite",
        "emoji",
        "c" * 64,
        ("a photo of a {}.",),
        ClassDraw("name", ("Food & Drink",), 0.4),
        None,
        specs,
        (SemanticSpec("near", "unknown-classes"), SemanticSpec("far", "table", table="digits")),
        protocol,
        {},
    )


def scores_of(suite: Suite, fold: str, base: float, n_id: int = 100) -> tuple[Score, ...]:
    """Scores around `base`: ID base, each covariate split .1 lower; FPR95 1 - base; AUROC base, .2 lower if shifted."""
    covariate = next(spec for spec in suite.folds if spec.name == fold).covariate

    def score(split: str, shift: Any, metric: str, value: float, *rest: Any) -> Score:
        return Score(split, shift, metric, value, value - 0.01, value + 0.01, n_id, *rest)

    rows = [score("ID", "id", "accuracy", base), *(score(n, "covariate", "accuracy", base - 0.1) for n in covariate)]
    for semantic, n_ood in (("near", 150), ("far", 60)):
        rows.append(score(semantic, "semantic", "fpr95", 1 - base, n_ood, "energy", "ID"))
        rows.append(score(semantic, "semantic", "fpr95", 0.999, n_ood, "msp", "ID"))
        rows.append(score(semantic, "semantic", "auroc", base, n_ood, "energy", "ID"))
        rows.append(score(semantic, "semantic", "fpr95_ood_positive", 0.998, n_ood, "energy", "ID"))
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
