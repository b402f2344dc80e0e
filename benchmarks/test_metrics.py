"""All detection metrics of one score with their intervals, 50,000 ID against 50,000 OOD, as multiples of two sorts.

    pytest benchmarks/test_metrics.py --benchmark-columns=min,median

`shared` sorts once for all; `each` asks for one after the other, as a caller of `stats.metrics` does. The relative
figure in brackets is the ratio of one run.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from croftbench.runs.scoring import MEASURED
from croftbench.stats import metrics
from croftbench.stats.detection import Detection

DRAW = np.random.default_rng(0)
ID, OOD = DRAW.normal(2, 1, 50_000), DRAW.normal(0, 2, 50_000)
np.ones(3_500_000)  # freed at once: the allocator then keeps what is freed, as it does in a run, which holds features


def shared():
    found = Detection(ID, OOD)
    return [measure(found) for measure in MEASURED.values()]


def each():
    return [measure(Detection(ID, OOD)) for measure in MEASURED.values()]


def two_sorts():
    return np.sort(ID), np.sort(OOD)


@pytest.mark.benchmark(group="all metrics with intervals")
@pytest.mark.parametrize("way", [two_sorts, shared, each], ids=lambda way: way.__name__)
def test_all_metrics(benchmark, way):
    found = benchmark(way)
    if way is not two_sorts:
        assert found == each()


@pytest.mark.benchmark(group="AUROC")
@pytest.mark.parametrize("whose", ["ours, with interval", "scikit-learn, without"])
def test_auroc(benchmark, whose):
    labels, scores = np.repeat([1, 0], [len(ID), len(OOD)]), np.concatenate([ID, OOD])
    if whose.startswith("ours"):
        assert benchmark(metrics.auroc, ID, OOD).value == pytest.approx(roc_auc_score(labels, scores))
    else:
        benchmark(roc_auc_score, labels, scores)
