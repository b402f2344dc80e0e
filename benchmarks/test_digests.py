"""What it costs to hold stored bytes against their digests: the share of a warm run, and of reading features."""

import time

import numpy as np
import pytest

import croftbench
from croftbench import npy
from croftbench.npy import Stored

SHAPE = (50_000, 512)
"""A test set of ImageNet's size with ViT-B/16: 102 MB."""


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    path, array = tmp_path_factory.mktemp("features") / "a.npy", np.random.default_rng(1).random(SHAPE, np.float32)
    with path.open("wb") as file:
        writer = npy.Writer(file, len(array), array)
        writer.write(array)
        writer.finish()
    return path


@pytest.mark.benchmark(group="102 MB of features")
def test_read(benchmark, features):
    assert benchmark(lambda: np.array(np.load(features, mmap_mode="r"))).shape == SHAPE


@pytest.mark.benchmark(group="102 MB of features")
def test_check_and_read(benchmark, features):
    assert benchmark(lambda: np.array(Stored(features).whole())).shape == SHAPE


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """`warm(method)`: run it on the shipped suite, one seed, everything cached: what is repeated most often."""
    folder, turns = tmp_path_factory.mktemp("warm"), iter(range(10_000))

    def run(method):
        croftbench.run(method, seeds=[1], results=folder / str(next(turns)), cache=folder / "cache", progress=False)

    run("tip-adapter,croft")
    return run


@pytest.mark.parametrize("method", ["tip-adapter", "croft"])
@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
@pytest.mark.benchmark(group="warm run, seconds of the processor", timer=time.process_time)
def test_warm_run(benchmark, warm, method, checked, monkeypatch):
    """With and without hashing what is read."""
    if not checked:
        monkeypatch.setattr(Stored, "_check", lambda self, blocks: None)
    benchmark.pedantic(warm, [method], rounds=5, warmup_rounds=1)
