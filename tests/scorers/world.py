"""A small world with features, classes and training images, in NumPy, for scores that know training images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from croftbench import scorers
from croftbench.method import Outputs
from croftbench.scorers import Context

SCALE = 50.0
C, D, SHOTS = 6, 16, 9
SMALL = {"knn": "knn:k=7", "vim": "vim:dim=5", "residual": "residual:dim=5"}
"""Where the default is made for more images than these."""


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


class World:
    """A cosine classifier, its training images and ten others; float64 NumPy arrays."""

    def __init__(self, seed=0, shots=SHOTS, noise=0.3, dim=D):
        random = np.random.default_rng(seed)
        self.w = unit(random.normal(size=(C, dim)))
        self.y = np.repeat(np.arange(C), shots)
        self.train = unit(self.w[self.y] + noise * random.normal(size=(C * shots, dim)))
        self.x = unit(random.normal(size=(10, dim)))

    def outputs(self, z, dtype=torch.float64):
        z, w = torch.tensor(z, dtype=dtype), torch.tensor(self.w, dtype=dtype)
        return Outputs(SCALE * z @ w.T, z, w)

    def context(self, dtype=torch.float64):
        labels = torch.tensor(self.y)
        return Context(lambda: self.outputs(self.train, dtype), labels, SCALE, list("abcdef"), ["{}"], pytest.fail)

    def score(self, name, dtype=torch.float64):
        return scorers.fit(SMALL.get(name, name), self.context(dtype))(self.outputs(self.x, dtype)).numpy()
