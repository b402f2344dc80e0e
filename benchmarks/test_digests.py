"""What it costs to hold stored bytes against their digests: the share of a warm run, and of reading features."""

import numpy as np
import pytest

import croftbench
from croftbench import npy
from croftbench.npy import Stored
from croftbench.runs import results

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
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("warm")


def warm(folder, turns):
    """CRoFT on the shipped suite, one seed, everything cached: what is repeated most often."""
    croftbench.run("croft", seeds=[1], results=folder / str(next(turns)), cache=folder / "cache", progress=False)


@pytest.mark.benchmark(group="warm run of croft")
def test_warm_run(benchmark, folder):
    warm(folder, iter([-1]))
    turns = iter(range(1000))
    benchmark.pedantic(lambda: warm(folder, turns), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="warm run of croft")
def test_warm_run_unchecked(benchmark, folder, monkeypatch):
    """The same without hashing what is read."""
    monkeypatch.setattr(Stored, "_check", lambda self, blocks: None)
    monkeypatch.setattr(results, "check_seal", lambda content: None)
    turns = iter(range(1000, 2000))
    benchmark.pedantic(lambda: warm(folder, turns), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="warm run of croft")
def test_hashing_alone(benchmark, folder):
    """The checks of a warm run on their own: every feature file of the cache."""
    paths = list((folder / "cache/features").glob("*.npy"))
    assert paths
    benchmark(lambda: [Stored(path).whole() for path in paths])
