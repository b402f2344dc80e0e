"""Finding ImageNet among 1.3 million names, and the memory that it takes: 2 GB at most."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from croftbench.data.scan.layouts import occurrences
from croftbench.data.scan.tree import Tree
from croftbench.suites import registry
from tests.layouts.generated import Listing


def test_one_million_three_hundred_thousand_names(benchmark):
    family = registry.family("imagenet")
    names = Listing("/data", family.ids, {"train": 1282, "val": 50})

    def scan():
        (found,) = occurrences(family, Tree(Path("/data"), names))
        return found.parts["train"].located, found.parts["val"].digest, found

    _, _, found = benchmark.pedantic(scan, rounds=3)
    assert {part: len(listing) for part, listing in found.parts.items()} == {"train": 1_282_000, "val": 50_000}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    benchmark.extra_info["peak MB"] = round(peak / 1e6)
    assert peak < 2e9
