"""Reading features that were encoded before, against encoding them: the ratio is what the cache is worth."""

import numpy as np
import pytest
import torch

from croftbench import encoders
from croftbench.datasets.draw import whole
from croftbench.features import FeatureStore
from croftbench.specs import Pool


@pytest.fixture(scope="module")
def encoder():
    return encoders.load(encoders.EMBEDDED)


@pytest.fixture(scope="module")
def pool():
    table = whole("emoji")
    return Pool("256 glyphs", "emoji", table.paths[:256], table.content)


@pytest.mark.benchmark(group="features of 256 images")
def test_warm_read(benchmark, tmp_path, encoder, pool):
    store = FeatureStore(tmp_path, encoder.identity, lambda: encoder)
    store.test(pool)
    features = benchmark(lambda: torch.from_numpy(np.array(store.test(pool))))
    assert features.shape == (256, 256)


@pytest.mark.benchmark(group="features of 256 images")
def test_encoding(benchmark, tmp_path, encoder, pool):
    turns = iter(range(1000))

    def encode():
        return FeatureStore(tmp_path / str(next(turns)), encoder.identity, lambda: encoder).test(pool)

    features = benchmark.pedantic(encode, rounds=5, warmup_rounds=1)
    assert features.shape == (256, 256)
