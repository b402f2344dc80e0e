"""Two methods on the same images: paired tests of accuracy and detection, corrected for their number.

Runs are paired by suite digest, fold, seed and encoder. The effect is the mean over these pairs of A - B, as a
leaderboard averages; intervals and p-values count objects, not rows: all pictures of one object, in any style, seed
or fold, are one observation, since seeds draw anew from the same pictures. They speak of other objects, not of other
seeds. p is corrected over all tests of all suites in the comparison (Holm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from croftbench.data.roots import Roots
from croftbench.errors import CroftbenchError, UsageError, unknown
from croftbench.report import pairs, rows, typed
from croftbench.report.pairs import PairedSplit
from croftbench.report.rows import More, Row, SeedFold
from croftbench.stats import paired
from croftbench.stats.paired import Answers, Difference, Ranking
from croftbench.suites.language import Suite

ALPHA = 0.05
MEAN = "covariate mean"
METHODS = (
    "Accuracy: exact McNemar test over objects, interval of Agresti and Min. AUROC: paired DeLong. FPR95 (share of "
    "the semantic shift accepted when at least 95% of ID is, ID positive; lower is better): percentiles of a paired "
    "bootstrap. Pictures of one object count as one observation across styles, seeds and folds. Intervals are of each "
    "test alone; Holm corrects p over all {n} tests."
)


@dataclass(frozen=True)
class Test:
    """One question and its answer; effects are A - B as fractions.

    Attributes:
        metric: "accuracy", "auroc" or "fpr95".
        split: "ID", a covariate split, "covariate mean", or a semantic split.
        shift: its kind.
        effect, low, high, p: see paired.Difference.
        p_holm: p corrected over the whole comparison.
        images, objects, runs: pictures over all pairs of runs, distinct objects among them, and pairs of runs.
    """

    suite: str
    metric: str
    split: str
    shift: str
    scorer: str
    effect: float
    low: float
    high: float
    p: float
    p_holm: float
    images: int
    objects: int
    runs: int

    @property
    def clear(self) -> bool:
        """Whether the difference is more than noise, corrected."""
        return self.p_holm < ALPHA

    @property
    def better(self) -> bool:
        """Whether A is the better one in these data."""
        return (self.effect < 0) == (self.metric == "fpr95")


@dataclass(frozen=True)
class Comparison:
    """Both names, every test in order of suite and split, what was compared on which seeds, and notes."""

    a: str
    b: str
    encoder: str
    tests: tuple[Test, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self) | {"sentences": sentences(self), "method": METHODS.format(n=len(self.tests))}


def compare(
    folder: Path,
    suites: Sequence[Suite],
    a: str,
    b: str,
    scorer: str | None = None,
    roots: Roots | None = None,
    cache: Path | None = None,
    more: More | None = None,
) -> Comparison:
    """Compare A and B on every suite where both have runs.

    Args:
        folder: the results folder.
        suites: at least one; runs of other digests of them are left out and noted.
        a: a name, see `typed.meant`.
        b: another.
        scorer: of the detection tests; each suite's headline where None.
        roots: where the suites' images are; what ships when None.
        cache: as in `rows.read`.
        more: adds `scorer` to tables that lack it.

    Raises:
        UsageError: a name that fits nothing or several configurations; no suite that has both; an unknown scorer.
        DataError: a per-image table is missing, damaged, or of other images.
    """
    tests: list[Test] = []
    notes: list[str] = []
    failure: CroftbenchError | None = None
    chosen: tuple[Row, Row] | None = None
    for suite in suites:
        there = rows.read(folder, suite, cache)
        if there.stale:
            notes.append(f"{there.stale} run(s) on another digest of {suite.name} left out.")
        try:
            one, two = pairs.choose(rows.grouped(there.runs, suite, there.usual), a, b)
        except pairs.AmbiguousError:
            raise
        except UsageError as error:  # fine as long as another suite has both
            failure = failure or error
            notes.append(f"{suite.name} left out: {error.message}")
            continue
        chosen = chosen or (one, two)
        splits = pairs.paired(folder, suite, one, two, roots, more)
        notes.append(f"{suite.name}: {_coverage(splits, one, two)}")
        tests += _tests(suite, splits, scorer or suite.protocol.headline)
    if chosen is None:
        raise failure or UsageError(
            f"{folder} has no runs to compare.", "`croftbench run --method zero-shot,croft` makes some."
        )
    corrected = paired.holm(test.p for test in tests)
    shown = [
        f"{name} (transductive)" if row.transductive else name
        for name, row in zip(typed.labels(chosen), chosen, strict=True)
    ]
    done = tuple(replace(test, p_holm=p) for test, p in zip(tests, corrected, strict=True))
    return Comparison(shown[0], shown[1], chosen[0].spec.encoder, done, tuple(notes))


def sentences(comparison: Comparison) -> list[str]:
    """What a person would say of each suite."""
    said = []
    for suite in dict.fromkeys(test.suite for test in comparison.tests):
        tests = [test for test in comparison.tests if test.suite == suite]
        parts = list(chain(_accuracy_said(tests, comparison.a, comparison.b), _detection_said(tests, comparison.a)))
        said.append(f"On {suite}, {'; '.join(parts)}.")
    return said


def chance(p: float) -> str:
    """A p-value as people write it, with its sign."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


# ------------------------------------------------------------------------------------- tests


def _tests(suite: Suite, by_run: Mapping[SeedFold, list[PairedSplit]], scorer: str) -> Iterator[Test]:
    """Every test of one suite, p not yet corrected."""
    every = [split for splits in by_run.values() for split in splits]
    covariate = [(split.a.name, split) for split in every if split.a.shift == "covariate"]
    identity = [split for split in every if split.a.shift == "id"]
    yield _accuracy(suite, "ID", "id", [("ID", split) for split in identity])
    names = dict.fromkeys(name for name, _ in covariate)
    for name in names:
        yield _accuracy(suite, name, "covariate", [pair for pair in covariate if pair[0] == name])
    if len(names) > 1:
        yield _accuracy(suite, MEAN, "covariate", covariate)
    if scorer not in identity[0].a.scores:
        raise unknown("scorer of these runs", scorer, identity[0].a.scores)
    # Where only correct images are positives, two methods have different ones: there is no paired difference.
    semantic = [split.name for split in suite.semantic if suite.protocol.id_filter == "all"]
    for metric, test in (("auroc", paired.auroc), ("fpr95", paired.fpr_at_tpr)):
        for name in semantic:
            yield _detection(suite, metric, test, name, scorer, by_run)


def _accuracy(suite: Suite, name: str, shift: str, named: Sequence[tuple[str, PairedSplit]]) -> Test:
    """Each split weighs the same, and within it each run."""
    runs = {split: sum(other == split for other, _ in named) for split, _ in named}
    parts = [Answers(split.a.correct, split.b.correct, split.units, 1 / runs[of]) for of, split in named]
    units = [split.units for _, split in named]
    return _test(suite, ("accuracy", name, shift, ""), paired.accuracy(parts), units, max(runs.values()))


def _detection(
    suite: Suite,
    metric: str,
    test: Callable[[Sequence[Ranking]], Difference],
    name: str,
    scorer: str,
    by_run: Mapping[SeedFold, list[PairedSplit]],
) -> Test:
    parts, units = [], []
    for splits in by_run.values():
        inside = next(split for split in splits if split.a.shift == ("reference" if suite.reference else "id"))
        outside = next(split for split in splits if split.a.name == name and split.a.shift == "semantic")
        id_a, id_b, ood_a, ood_b = (x.scores[scorer] for s in (inside, outside) for x in (s.a, s.b))
        parts.append(Ranking(id_a, id_b, ood_a, ood_b, inside.units, outside.units))
        units += [inside.units, outside.units]
    return _test(suite, (metric, name, "semantic", scorer), test(parts), units, len(parts))


def _test(
    suite: Suite,
    asked: tuple[str, str, str, str],
    difference: Difference,
    units: Sequence[np.typing.NDArray[Any]],
    runs: int,
) -> Test:
    together = np.concatenate(units)
    return Test(suite.name, *asked, *difference, difference.p, len(together), len(np.unique(together)), runs)


def _coverage(by_run: Mapping[SeedFold, list[PairedSplit]], a: Row, b: Row) -> str:
    """The seeds and folds that both have, and how many runs had no partner."""
    seeds, folds = (", ".join(map(str, dict.fromkeys(key[part] for key in by_run))) for part in (0, 1))
    alone = len(a.by_seed_and_fold.keys() ^ b.by_seed_and_fold.keys())
    return f"seeds {seeds}; folds {folds}" + (f"; {alone} run(s) without a partner left out." if alone else ".")


# ------------------------------------------------------------------------------------- words


def _accuracy_said(tests: Sequence[Test], a: str, b: str) -> Iterator[str]:
    covariate = [test for test in tests if test.shift == "covariate"]
    for test, where in ((covariate[-1:], "under covariate shift"), (tests[:1], "on ID images")):
        for asked in test:
            if asked.clear:
                word = "more" if asked.better else "less"
                yield f"{a} is {_points(asked)} {word} accurate {where} than {b} ({_evidence(asked)})"
            else:
                yield f"{where} the accuracies of {a} and {b} differ within noise ({_evidence(asked)})"


def _detection_said(tests: Sequence[Test], a: str) -> Iterator[str]:
    for metric, shown in (("auroc", "AUROC"), ("fpr95", "FPR95")):
        asked = [test for test in tests if test.metric == metric]
        for test in asked:
            if test.clear:
                word, way = "better" if test.better else "worse", "higher" if test.effect > 0 else "lower"
                yield f"{a} detects {test.split} {word} ({shown} {_points(test)} {way}, {_evidence(test)})"
        noise = [test.split for test in asked if not test.clear]
        if noise:
            yield f"on {', '.join(noise)} the {shown} difference is within noise"


def _points(test: Test) -> str:
    return f"{100 * abs(test.effect):.1f} points"


def _evidence(test: Test) -> str:
    sign = -1 if test.clear and test.effect < 0 else 1
    low, high = sorted((100 * sign * test.low, 100 * sign * test.high))
    return f"95% interval {low:.1f} to {high:.1f}, corrected {chance(test.p_holm)}"
