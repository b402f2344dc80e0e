"""Scores made elsewhere: accuracy and detection with intervals, without any model."""

import numpy as np

import croftbench

rng = np.random.default_rng(0)
known = rng.normal(2, 1, 1000)
unknown = {"near": rng.normal(1, 1.5, 500), "far": rng.normal(-1, 1, 500)}

numbers = croftbench.evaluate(known, unknown)
print(numbers[["metric", "split", "value", "low", "high", "n_id", "n_ood"]].round(3))
