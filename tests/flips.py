"""Flipped bits in every kind of stored file: does a wrong number ever come out without a word?

    python -m tests.flips 500

prints one row a kind: how often bits were flipped, and what came of it. *healed*: a file of the cache was made again,
which was said, and the numbers are right. *refused*: an error that names the file. *harmless*: the numbers are right
and nothing was said, as after a flip in a space between two values. *blocked*: a file of the cache stopped the work.
*silent*: another number, and not a word. The last two must be 0.
"""

from __future__ import annotations

import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import croftbench
from croftbench.errors import CroftbenchError
from croftbench.runs import posthoc, results
from tests.conftest import FOOD

METHODS = "zero-shot,tip-adapter"
SCORES = "mcm,knn"
OUTCOMES = ("healed", "refused", "harmless", "blocked", "silent")


class Campaign:
    """Two methods on a small suite with all that they leave on the disk, and the numbers that are right."""

    def __init__(self, root: Path, seed: int = 1) -> None:
        self.root, self.random = root, random.Random(seed)
        self.cache, self.results, self.suite = root / "cache", root / "results", root / "food.toml"
        self.suite.write_text(FOOD)
        self.run(self.results)
        elsewhere = root / "other-cache"  # what it encodes is of no use to the runs, and its damage would be no test
        croftbench.tune("tip-adapter", ["alpha=1,2"], self.suite, results=self.results, cache=elsewhere)
        croftbench.export_runs(root / "runs.zip", results=self.results)
        self.probes: dict[str, tuple[str, Callable[[], object]]] = {
            "features, of images and texts": ("cache/features/*.npy", self.fresh),
            "description of a method": ("cache/methods/*.json", self.fresh),
            "record of an encoder": ("cache/encoders/*.json", self.fresh),
            "kept outputs": ("cache/outputs/*/*", self.scored_again),
            "run": ("results/runs/*/*/*.json", self.read),
            "per-image table": ("results/runs/*/*/*.parquet", self.read),
            "post-hoc scores": ("results/posthoc/*/*/*.json.gz", self.read),
            "record of tuning": ("results/tuning/*/*.json", self.read),
            "bundle": ("runs.zip", self.imported),
        }
        self.right = {probe: probe() for _, probe in self.probes.values()}

    def flip(self, kind: str) -> str:
        """Flip 1 to 200 bits of one file of a kind, look at the numbers, and put the file back; what came of it."""
        pattern, probe = self.probes[kind]
        path = self.random.choice(sorted(path for path in self.root.glob(pattern) if path.is_file()))
        whole = path.read_bytes()
        changed = bytearray(whole)
        for _ in range(self.random.choice((1, 1, 1, 5, 200))):
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        path.write_bytes(changed)
        said: list[str] = []
        log, hear = logging.getLogger("croftbench"), _Hear(said)
        log.addHandler(hear)
        log.propagate = False
        try:
            found = probe()
        except CroftbenchError as error:
            named = path.name in str(error) or path.stem in str(error)
            return "refused" if named and path.is_relative_to(self.results) | (kind == "bundle") else "blocked"
        finally:
            log.removeHandler(hear)
            log.propagate = True
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(whole)
        if found != self.right[probe]:
            return "silent"
        return "healed" if any("is damaged and is made again" in line for line in said) else "harmless"

    # ------------------------------------------------------------------------------------- what is looked at

    def run(self, folder: Path) -> None:
        croftbench.run(METHODS, self.suite, scores=SCORES, results=folder, cache=self.cache, progress=False)

    def fresh(self) -> object:
        """All numbers of runs that are made from the cache."""
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            self.run(Path(folder))
            return self.numbers(Path(folder))

    def scored_again(self) -> object:
        """Post-hoc scores of the finished runs, from what is kept of them."""
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            shutil.copytree(self.results / "runs", Path(folder, "runs"))
            self.run(Path(folder))
            return self.numbers(Path(folder))

    def imported(self) -> object:
        """The numbers of an imported bundle."""
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            croftbench.import_runs(self.root / "runs.zip", results=folder)
            return [run.scores for run in results.read_all(Path(folder))]

    def read(self) -> object:
        """All that a reader of the results sees: the numbers, the comparison of the methods, whether all is whole."""
        faults = [one.error for one in croftbench.check(results=self.results) if one.error]
        try:
            compared = croftbench.compare("zero-shot", "tip-adapter", self.suite, results=self.results)
            found = self.numbers(self.results), compared
        except CroftbenchError:
            if not faults:
                return None  # `check` has missed what another command found
            raise
        if faults and found == self.right[self.read]:
            raise faults[0]
        return found

    def numbers(self, folder: Path) -> object:
        runs = list(results.read_all(folder))
        return [(run.scores, [(s.label, s.scores) for s in posthoc.read(folder, run.spec).scorers]) for run in runs]


class _Hear(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def campaign(root: Path, flips: int, seed: int = 1) -> dict[str, Counter[str]]:
    """So many flips, in turns over the kinds; outcomes by kind."""
    of = Campaign(root, seed)
    kinds = list(of.probes)
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for i in range(flips):
        outcomes[kinds[i % len(kinds)]][of.flip(kinds[i % len(kinds)])] += 1
    return outcomes


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        outcomes = campaign(Path(root), int(sys.argv[1]))
    print("| kind of file | flips |", " | ".join(OUTCOMES), "|\n|---|" + "---:|" * (1 + len(OUTCOMES)))
    for kind, counts in [*outcomes.items(), ("all", sum(outcomes.values(), Counter()))]:
        print(f"| {kind} | {counts.total()} |", " | ".join(str(counts[one]) for one in OUTCOMES), "|")
    sys.exit(any(counts["silent"] or counts["blocked"] for counts in outcomes.values()))


if __name__ == "__main__":
    main()
