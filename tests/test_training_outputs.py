"""Training images under the test transform, for scores: the same features, however their pool is encoded."""

from __future__ import annotations

import torch

from croftbench import datasets, encoders, manifest, planning, plugins, runner


def test_training_images_are_encoded_alone_or_taken_from_their_pool(cache, suite_file):
    suite = manifest.suite(str(suite_file))
    bench = runner.Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"))
    (job,) = planning.plan(suite, plugins.describe("zero-shot", cache), bench.identity)
    split = bench.fold(job.spec).train
    alone = bench._seen(split, "features")
    assert split.pool.digest not in bench._features
    assert torch.equal(bench.features(split), alone)
    assert torch.equal(bench._seen(split, "features"), alone)
    assert len(alone) == len(datasets.folds(suite, 1)[0].train)
