"""The columns of a suite's leaderboard, each defined once: what it is, how it is made, whether text has room for it.

A column is called `<metric>/<population>`. Those without `parts` are numbers of the runs; the others are made of them,
within each seed, after folds are averaged. Definitions for readers: docs/columns.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from croftbench.runs import scoring
from croftbench.suites.language import SemanticSpec, Suite

ID = "accuracy/id"
MEAN = "accuracy/covariate-mean"
WORST = "accuracy/covariate-worst"
H = "harmonic-mean/base-new"
DETECTION = "auroc/semantic-mean"
FPR_MEAN = "fpr95/semantic-mean"
SHIFTED = "auroc/covariate"
TIES = "ties/semantic-most"

MEASURES = {
    "accuracy": "Acc ↑",
    "harmonic-mean": "H ↑",
    "fpr95": "FPR95 ↓",
    "auroc": "AUROC ↑",
    "fpr95_ood_positive": "FPR95, OOD positive ↓",
    "ece": "ECE ↓",
    "aurc": "AURC ↓",
    "ties": "Ties ↓",
}
LOWER = tuple(metric for metric, measure in MEASURES.items() if measure.endswith("↓"))
"""Metrics of which less is better."""

LEVELS = ("near", "far")
FULL = "full-spectrum"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: "<metric>/<population>", as in the CSV.
        title: the population, for people.
        shift: of the population: "id", "covariate", "named" or "semantic".
        positives: for detection, the shift of the positives; else "".
        images: the population whose number of images stands in `n/<images>`; "" for several.
        parts: what it is made of: other columns, or numbers that have none (see `source`).
        how: it is made of its parts.
        text: whether tables for people show it; CSV and JSON hold all.
        scorer: the detection score that it is of: "" for none, "headline" for the suite's.
    """

    name: str
    title: str
    shift: str
    positives: str = ""
    images: str = ""
    parts: tuple[str, ...] = ()
    how: Literal["mean", "least", "most", "harmonic mean"] = "mean"
    text: bool = True
    scorer: str = ""

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.name.split("/", 1)[0]

    @property
    def measure(self) -> str:
        """The metric for people, with the direction that is better."""
        return MEASURES[self.metric]

    def of(self, numbers: pd.DataFrame) -> pd.Series[float]:
        """The column from the numbers of the runs (rows by seed; columns by name): NaN where there are none."""
        parts = numbers.reindex(columns=list(self.parts or (self.name,)))
        if self.how == "harmonic mean":
            return parts.shape[1] / (1 / parts).sum(axis=1, skipna=False)
        return {"mean": parts.mean, "least": parts.min, "most": parts.max}[self.how](axis=1)


class Kind(NamedTuple):
    """What a run's score is of. `positives`: the shift of the split `reference`, "" where it is none."""

    metric: str
    split: str
    shift: str
    reference: str
    positives: str


def source(kind: Kind, own: str) -> str:
    """The name under which columns find a score; `own`: the shift of the suite's own positives."""
    if not kind.reference:  # the ID split goes by its role: a split may be ID in one fold and covariate in another
        return f"{kind.metric}/{'id' if kind.shift == 'id' else kind.split}"
    if kind.positives == own:
        return f"{kind.metric}/{kind.split}"
    return _against(kind.metric, kind.reference, kind.split)


def _against(metric: str, positives: str, semantic: str) -> str:
    """The name of a detection score with other positives than the suite's own."""
    return f"{metric}/{positives} against {semantic}"


# ------------------------------------------------------------------------------------- of a suite


def columns(suite: Suite) -> tuple[Column, ...]:
    """All columns of a suite, in their order: those of the text first, then what only CSV and JSON hold."""
    every = [*_accuracies(suite), *detection(suite, "fpr95"), *_full_spectrum(suite, "fpr95")]
    every += [*detection(suite, "auroc"), _shifted(suite), *_full_spectrum(suite, "auroc")]
    every += [*detection(suite, "fpr95_ood_positive", text=False), *_confidence(suite), _ties(suite)]
    return tuple(every)


def headline(suite: Suite) -> list[Column]:
    """The columns that a reader looks at first: ID, covariate mean, then AUROC and FPR95 of near and far.

    Without both levels: of the only open set, or of near, if any, and the mean over all.
    """
    by_name = {column.name: column for column in columns(suite)}
    names = [ID, *([MEAN] if covariate(suite) else []), *([H] if suite.named else [])]
    near = [one.name for one in suite.semantic if one.source == "unknown-classes"][:1]
    for metric in ("auroc", "fpr95"):
        means = [f"{metric}/{level}-mean" for level in LEVELS if _of_level(suite, level)]
        if len(suite.semantic) == 1:
            names.append(f"{metric}/{suite.semantic[0].name}")
        elif len(means) == len(LEVELS):
            names += means
        elif suite.semantic:
            names += [*(f"{metric}/{name}" for name in near), f"{metric}/semantic-mean"]
    return [by_name[name] for name in names]


def covariate(suite: Suite) -> list[str]:
    """Names of the covariate splits, each once, in the order of the folds."""
    return list(dict.fromkeys(name for fold in suite.folds for name in fold.covariate))


def _accuracies(suite: Suite) -> Iterator[Column]:
    shifted, several = covariate(suite), len(suite.folds) > 1
    parts = tuple(f"accuracy/{name}" for name in shifted)
    yield Column(ID, "ID", "id", images="id")
    yield from (Column(f"accuracy/{name}", name, "covariate", images=name) for name in shifted)
    yield Column(MEAN, "covariate mean", "covariate", parts=parts, text=bool(parts))
    if several and len(parts) > 1:  # each fold leaves out a domain of its own
        yield Column(WORST, "worst domain", "covariate", parts=parts, how="least")
    yield from (Column(f"accuracy/{name}", name, "named", images=name) for name in suite.named)
    for name in suite.named[:1]:
        yield Column(H, "base and new", "named", parts=(ID, f"accuracy/{name}"), how="harmonic mean")


def detection(suite: Suite, metric: str, text: bool = True) -> Iterator[Column]:
    """A detection metric on every open set, its means by level, and over all."""
    for one in suite.semantic:
        name = f"{metric}/{one.name}"
        yield Column(name, one.name, "semantic", _positives(suite), one.name, text=text, scorer="headline")
    for level in LEVELS:
        if sets := _of_level(suite, level):
            parts, partly = tuple(f"{metric}/{one.name}" for one in sets), len(sets) < len(suite.semantic)
            name, title = f"{metric}/{level}-mean", f"{level} mean"
            yield Column(name, title, "semantic", _positives(suite), "", parts, text=text and partly, scorer="headline")
    parts, several = tuple(f"{metric}/{one.name}" for one in suite.semantic), len(suite.semantic) > 1
    name = f"{metric}/semantic-mean"
    yield Column(
        name, "semantic mean", "semantic", _positives(suite), "", parts, text=text and several, scorer="headline"
    )


def _shifted(suite: Suite) -> Column:
    parts = tuple(_against("auroc", name, one.name) for name in covariate(suite) for one in suite.semantic)
    return Column(SHIFTED, "shifted", "semantic", "covariate", "", parts, text=bool(parts), scorer="headline")


def _full_spectrum(suite: Suite, metric: str) -> Iterator[Column]:
    """Detection with ID and covariate-shifted images together as the positives, by level and over all open sets."""
    if not suite.protocol.full_spectrum:
        return
    wanted: list[tuple[str, Sequence[SemanticSpec]]] = [(f"-{of}", _of_level(suite, of)) for of in LEVELS]
    for level, sets in [*wanted, ("", suite.semantic)]:
        if sets and (not level or len(sets) < len(suite.semantic)):
            parts = tuple(_against(metric, scoring.FULL_SPECTRUM, one.name) for one in sets)
            title = f"full, {level[1:]}" if level else "full spectrum"
            yield Column(f"{metric}/{FULL}{level}", title, "semantic", FULL, "", parts, scorer="headline")


def _confidence(suite: Suite) -> Iterator[Column]:
    """Calibration and selection of known classes, by the largest softmax probability."""
    if scoring.CONFIDENCE not in suite.protocol.scorers:
        return
    for metric in ("ece", "aurc"):
        parts = tuple(f"{metric}/{name}" for name in covariate(suite))
        yield Column(f"{metric}/id", "ID", "id", images="id", text=False, scorer=scoring.CONFIDENCE)
        if parts:
            name, title = f"{metric}/covariate-mean", "covariate mean"
            yield Column(name, title, "covariate", parts=parts, text=False, scorer=scoring.CONFIDENCE)


def _ties(suite: Suite) -> Column:
    parts = tuple(f"ties/{one.name}" for one in suite.semantic)
    return Column(TIES, "most", "semantic", _positives(suite), "", parts, "most", text=False, scorer="headline")


def _of_level(suite: Suite, level: str) -> list[SemanticSpec]:
    return [one for one in suite.semantic if one.level == level]


def _positives(suite: Suite) -> str:
    """Shift of the suite's own positives, as tables for programs say it."""
    return "id" if suite.reference is None else suite.reference.role
