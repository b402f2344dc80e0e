"""Reading features that were encoded before, encoding them, and the encoder alone on pixels that are in memory.

The first ratio is what the cache is worth, the second what decoding and writing add.
"""

import numpy as np
import pytest
import torch

from croftbench import encoders
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.encoders import batches
from croftbench.encoders.store import FeatureStore
from croftbench.suites import registry


@pytest.fixture(scope="module")
def encoder():
    return encoders.load(encoders.EMBEDDED)


@pytest.fixture(scope="module")
def pool():
    paths = tuple(row.path for row in Roots().rows("emoji")[:1024])
    return Pool("1,024 glyphs", "emoji", paths, registry.family("emoji").content)


@pytest.mark.benchmark(group="features of 1,024 images")
def test_warm_read(benchmark, tmp_path, encoder, pool):
    store = FeatureStore(tmp_path, encoder.identity, lambda: encoder)
    store.test(pool)
    features = benchmark(lambda: torch.from_numpy(np.array(store.test(pool))))
    assert features.shape == (1024, 256)


@pytest.mark.benchmark(group="features of 1,024 images")
def test_encoding(benchmark, tmp_path, encoder, pool):
    turns = iter(range(1000))

    def encode():
        return FeatureStore(tmp_path / str(next(turns)), encoder.identity, lambda: encoder).test(pool)

    features = benchmark.pedantic(encode, rounds=5, warmup_rounds=1)
    assert features.shape == (1024, 256)


@pytest.mark.benchmark(group="features of 1,024 images")
def test_the_encoder_alone(benchmark, encoder):
    height, width = encoder.identity.image_size
    pixels = torch.randint(256, (1, batches.BLOCK, 3, height, width), dtype=torch.uint8)
    blocks = [(start, pixels) for start in range(0, 1024, batches.BLOCK)]
    features = benchmark.pedantic(lambda: [*batches.encoded(encoder, blocks, "image")], rounds=5, warmup_rounds=1)
    assert sum(block.shape[1] for _, block in features) == 1024
