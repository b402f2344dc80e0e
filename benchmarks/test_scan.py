"""Finding ImageNet among 1.3 million names, and the memory that it takes: 2 GB at most."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peak import peak
from croftbench.data.scan.layouts import occurrences
from croftbench.data.scan.tree import Tree
from croftbench.suites import registry
from tests.layouts.generated import Listing


def scan():
    """Names located and hashed, as `data status` does; the listing is held by the generator, not by the disk."""
    family = registry.family("imagenet")
    names = Listing("/data", family.ids, {"train": 1282, "val": 50})
    (found,) = occurrences(family, Tree(Path("/data"), names))
    return {part: (len(listing), len(listing.located), listing.digest) for part, listing in found.parts.items()}


def test_one_million_three_hundred_thousand_names(benchmark):
    found = benchmark.pedantic(scan, rounds=3)
    assert {part: count for part, (count, _, _) in found.items()} == {"train": 1_282_000, "val": 50_000}


def test_memory(benchmark):
    most = benchmark.pedantic(lambda: peak("from benchmarks.test_scan import scan; scan()"), rounds=1)
    benchmark.extra_info["peak MB"] = round(most / 1e6)
    assert most < 2e9
