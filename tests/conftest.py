"""Fixtures shared by all tests: recorded reference outputs and how to compare with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
import torch

ORACLE = Path(__file__).parent / "data" / "oracle"


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
