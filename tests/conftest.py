"""Fixtures shared by all tests: recorded reference outputs and how to compare with them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

ORACLE = Path(__file__).parent / "data" / "oracle"


FOOD = """
name = "food"
version = 1
title = "Some glyphs of food known, the others not"
table = "emoji"
templates = ["a {}.", "an emoji of a {}."]

[classes]
by = "name"
groups = ["Food & Drink"]
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
train = ["noto", "emojione"]
id = ["twemoji"]
covariate = { shaded = "fluent-emoji", "line art" = "fluent-emoji-high-contrast" }

[[semantic]]
name = "near"
source = "unknown-classes"

[[semantic]]
name = "digits"
source = "table"
table = "digits"
"""


def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of tests/data/oracle/<name>.npz."""
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
