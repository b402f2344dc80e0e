"""Speed of the metrics with their intervals, 50,000 ID against 10,000 OOD scores, beside scikit-learn's bare AUROC."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from croftbench.stats import metrics

DRAW = np.random.default_rng(0)
ID, OOD = DRAW.normal(2, 1, 50_000), DRAW.normal(0, 2, 10_000)


@pytest.mark.parametrize(
    "metric", [metrics.auroc, metrics.aupr, metrics.aupr_out, metrics.fpr_at_tpr], ids=lambda metric: metric.__name__
)
def test_with_interval(benchmark, metric):
    estimate = benchmark(metric, ID, OOD)
    assert estimate.low < estimate.value < estimate.high


def test_sklearn_auroc_without_interval(benchmark):
    labels, scores = np.repeat([1, 0], [len(ID), len(OOD)]), np.concatenate([ID, OOD])
    assert benchmark(roc_auc_score, labels, scores) == pytest.approx(metrics.auroc(ID, OOD).value)
