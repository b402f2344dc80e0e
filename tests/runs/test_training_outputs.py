"""Training images under the test transform, for scores: the same features, however their pool is encoded."""

from __future__ import annotations

import torch

from croftbench import draw, encoders, plugins
from croftbench.runs import execute, planning
from croftbench.suites import manifest


def test_training_images_are_encoded_alone_or_taken_from_their_pool(cache, suite_file):
    suite = manifest.suite(str(suite_file))
    bench = execute.Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"))
    (job,) = planning.plan(suite, plugins.describe("zero-shot", cache), bench.identity, bench.draws.content)
    split = bench.fold(job.spec).train
    features = bench.features
    alone = features.images(split, "features", alone=True)
    assert split.pool.digest not in features._pools
    assert torch.equal(features.test(split), alone)
    assert torch.equal(features.images(split, "features", alone=True), alone)
    assert len(alone) == len(draw.folds(suite, 1)[0].train)
