"""Scores that compare with training images or classes, each beside what it replaced or its floor.

    pytest benchmarks/test_scorers.py --benchmark-columns=min,median

The relative figure in brackets is the ratio of one run.
"""

from __future__ import annotations

import pytest
import torch

from croftbench import scorers
from croftbench.method import Outputs
from croftbench.scorers import Context
from croftbench.training import unit

D, C, BANK, IMAGES, CHUNKS, SCALE = 512, 1000, 16_000, 512, 8, 100.0


def outputs(images: int, seed: int) -> Outputs:
    w = unit(torch.randn(C, D, generator=torch.Generator().manual_seed(0)))
    z = unit(torch.randn(images, D, generator=torch.Generator().manual_seed(seed)))
    return Outputs(SCALE * z @ w.T, z, w)


def fitted(name: str, bank: int) -> scorers.Scorer:
    train = outputs(bank, 1)
    return scorers.fit(name, Context(lambda: train, torch.zeros(bank), SCALE, ["a"] * C, ["{}"], pytest.fail))


@pytest.mark.parametrize("k", [50, 1000])
@pytest.mark.parametrize("way", ["knn", "topk", "product alone"])
def test_knn(benchmark, k, way):
    """Against distances by the same product with `torch.topk`, and against the product alone."""
    benchmark.group = f"kNN, k={k}, a bank of {BANK:,}"
    bank, test = outputs(BANK, 1).features, outputs(IMAGES, 2)
    score = fitted(f"knn:k={k}", BANK)

    def once():
        if way == "knn":
            return score(test)
        found = (2 + 0 * bank[:, 0]).addmm(test.features, bank.T, alpha=-2) if way == "topk" else test.features @ bank.T
        return -found.topk(k, largest=False, sorted=False).values.amax(1) if way == "topk" else found

    found = benchmark.pedantic(once, rounds=3, warmup_rounds=1)
    if way == "topk":
        torch.testing.assert_close(score(test), found, rtol=0, atol=1e-5)


@pytest.mark.benchmark(group=f"fDBD, {C} classes, {CHUNKS} chunks of {IMAGES}")
@pytest.mark.parametrize("gaps", ["once", "a chunk"])
def test_fdbd(benchmark, gaps):
    """The distances between classes once, and once a chunk, as a scorer that has seen nothing has to."""
    chunk = outputs(IMAGES, 2)
    score = fitted("fdbd", 64)

    def once():
        return [(score if gaps == "once" else fitted("fdbd", 64))(chunk) for _ in range(CHUNKS)]

    found = benchmark.pedantic(once, rounds=3, warmup_rounds=1)
    assert all(torch.equal(one, found[0]) for one in found)
