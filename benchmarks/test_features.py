"""Reading features that were encoded before, against encoding them: the ratio is what the cache is worth."""

import numpy as np
import pytest
import torch

from croftbench import encoders
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.encoders.store import FeatureStore
from croftbench.suites import registry


@pytest.fixture(scope="module")
def encoder():
    return encoders.load(encoders.EMBEDDED)


@pytest.fixture(scope="module")
def pool():
    paths = tuple(row.path for row in Roots().rows("emoji")[:256])
    return Pool("256 glyphs", "emoji", paths, registry.family("emoji").content)


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
