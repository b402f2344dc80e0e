"""Fixtures shared by all tests: recorded reference outputs and how to compare with them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from croftbench import draw
from croftbench.runs import per_image, results, scoring
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites import manifest

ORACLE = Path(__file__).parent / "oracle"


FOOD = """
name = "food"
version = 1
title = "Some glyphs of food known, the others not"
templates = ["a {}.", "an emoji of a {}."]

[classes]
by = "name"
groups = ["Food & Drink"]
draw = "random"
known = 0.3

[protocol]
shots = 2
seeds = [1]
views = 2
crop_scale = [0.6, 1.0]
flip = true
scorers = ["energy", "msp"]
headline = "energy"

[recipes.croft]
lambda2 = 0.001
epochs = 3

[recipes.coop]
epochs = 2

[[folds]]
name = "all"
train = ["emoji/noto", "emoji/emojione"]
id = ["emoji/twemoji"]
covariate = { shaded = "emoji/fluent-emoji", "line art" = "emoji/fluent-emoji-high-contrast" }

[[semantic]]
name = "near"
source = "unknown-classes"

[[semantic]]
name = "digits"
source = "splits"
splits = ["digits"]
"""


def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of tests/oracle/<name>.npz."""
    with np.load(ORACLE / f"{name}.npz") as arrays:
        return dict(arrays)


def assert_close(actual: torch.Tensor | np.ndarray | float, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    """Equal shapes, and a largest difference within `tolerance` x (1 + the largest recorded magnitude)."""
    got = actual.detach().cpu().numpy() if isinstance(actual, torch.Tensor) else np.asarray(actual)
    assert got.shape == expected.shape
    error = np.abs(got.astype(np.float64) - expected).max(initial=0)
    limit = tolerance * (1 + np.abs(expected).max(initial=0))
    assert error <= limit, f"off by {error:.3g}, allowed {limit:.3g}"


settings.register_profile("croftbench", deadline=None)  # a busy machine is not a failure
settings.load_profile("croftbench")


@pytest.fixture
def oracle() -> Callable[[str], dict[str, np.ndarray]]:
    """`oracle(name)`: the recorded arrays of that name."""
    return load


@pytest.fixture
def close() -> Callable[..., None]:
    """`close(actual, expected, tolerance=1e-10)`: assert it."""
    return assert_close


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One feature cache for the whole session, shared by xdist's workers: features are encoded once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "croftbench-cache"


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    """A suite of the food glyphs with one seed: the real thing, small."""
    path = tmp_path / "food.toml"
    path.write_text(FOOD)
    return path


@pytest.fixture
def made() -> Callable[..., RunResult]:
    """`made(folder, method, seed, skill=.5, detection=1, suite="emoji-open", fold=None, **spec)`: a run, both files.

    A method is right on a share `skill` of the known images and scores them higher by `detection`; what is hard is
    hard for every method, as it is for real ones.
    """

    def make(
        folder: Path, method: str, seed: int, skill: float = 0.5, detection: float = 1.0, suite: str = "emoji-open",
        fold: str | None = None, **changed: object,
    ) -> RunResult:  # fmt: skip
        of = manifest.suite(suite)
        drawn = next(f for f in draw.folds(of, seed) if fold in (None, f.name))
        asked: dict[str, object] = {
            "suite": suite, "suite_digest": of.digest, "fold": drawn.name, "method": method, "method_version": 1,
            "source": "", "params": {"lr": 0.1}, "encoder": "clip/a", "weights_digest": "w" * 64, "transform": "t",
            "shots": of.protocol.shots, "seed": seed, "views": 4,
        }  # fmt: skip
        spec = RunSpec(**asked | changed)  # type: ignore[arg-type]
        own = np.random.default_rng(int(spec.run_id, 16))
        tables = []
        for shift, split in drawn.tests:
            ease = np.random.default_rng([17, *split.name.encode()]).random(len(split.pool.paths))[list(split.rows)]
            labels = np.array(split.labels)
            right = 0.8 * ease + 0.2 * own.random(len(ease)) > 1 - skill
            predicted = np.where(right & (labels >= 0), labels, (labels + 1) % len(drawn.classnames))
            score = (3 * ease + own.normal(0, 0.5, len(ease)) + detection * (labels >= 0)).astype(np.float32)
            tables.append(SplitTable(split.name, shift, labels, predicted, dict.fromkeys(of.protocol.scorers, score)))
        scores = tuple(scoring.score(tables, of.protocol.headline))
        run = RunResult(spec, scores, {"numpy": np.__version__}, {"fit": 1.0}, "2026-01-01T00:00:00+00:00")
        per_image.write(folder, spec, tables)
        return results.read(results.write(folder, run))

    return make
