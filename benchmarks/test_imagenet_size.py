"""A run of ImageNet's size and the memory that it takes: 2 GB at most.

50,000 test images of 1,000 classes, and 480,000 training views (16 images a class in 30 views) of 512 features. The
features are random ones in a full cache; everything else is as in any run, and its outputs are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peak import peak
from croftbench import plugins
from croftbench.data.pool import Pool
from croftbench.draw.splits import UNKNOWN, Fold, Split
from croftbench.encoders import entry
from croftbench.encoders.identity import EMBEDDED
from croftbench.encoders.store import FeatureStore
from croftbench.runs.execute import Workbench
from croftbench.runs.spec import RunSpec
from croftbench.suites import manifest

CLASSES, SHOTS, VIEWS, DIM = 1000, 16, 30, 512
TESTS = {"id": 25_000, "shifted": 12_500, "unknown": 12_500}


class RandomStore(FeatureStore):
    """A feature store that is filled with random features where it lacks some."""

    def _fill(self, pool: Pool, paths: Sequence[Path], *of: Any) -> None:
        for seed, path in enumerate(path for path in paths if not path.exists()):
            entry.save(path, [np.random.default_rng(seed).standard_normal((len(pool.paths), DIM), np.float32)])

    def _encoder(self) -> Any:
        return self

    def encode_texts(self, prompts: list[str]) -> Tensor:
        """(P, D) random features."""
        return torch.randn(len(prompts), DIM)


def split(name: str, count: int, known: bool = True) -> Split:
    """Images of all classes in turn."""
    paths = tuple(f"{name}/{i}.jpg" for i in range(count))
    labels = tuple(i % CLASSES if known else UNKNOWN for i in range(count))
    return Split(name, Pool(name, name, paths, "random"), tuple(range(count)), labels, (0,) * count)


def run(method: str, cache: Path) -> None:
    """One run, its outputs kept."""
    bench = Workbench(manifest.suite("emoji-open"), EMBEDDED, cache, torch.device("cpu"))
    bench.features.identity = replace(bench.identity, dim=DIM)
    bench.features.store = RandomStore(cache, bench.identity, lambda: None)  # type: ignore[arg-type,return-value]
    tests = {name: split(name, count, name != "unknown") for name, count in TESTS.items()}
    names, train = tuple(f"class {i}" for i in range(CLASSES)), split("train", CLASSES * SHOTS)
    fold = Fold(
        "all", names, ("photo",), train, None, tests["id"], (tests["shifted"],), (tests["unknown"],), ("a {}.",)
    )
    bench.fold_of = lambda *asked: fold  # type: ignore[method-assign]
    info = plugins.describe(method, None)
    params = info.resolve()
    params |= {"epochs": 1} if "epochs" in params else {}
    spec = RunSpec("imagenet-size", "", "all", method, 1, "", params, EMBEDDED, "", "", SHOTS, 1, VIEWS)
    bench.run(spec, info)


def test_memory(benchmark: Any, tmp_path: Path) -> None:
    code = "from benchmarks.test_imagenet_size import run; run(sys.argv[1], Path(sys.argv[2]))"
    peak(code, "zero-shot", str(tmp_path))  # the encoder is known and test images are in the cache
    most = benchmark.pedantic(lambda: peak(code, "croft", str(tmp_path)), rounds=1)
    benchmark.extra_info["peak MB"] = round(most / 1e6)
    assert most < 2e9
