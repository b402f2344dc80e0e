"""Detection scores: a classifier's outputs in, one number an image out; **higher = more in-distribution**, always.

A score is asked for by name, with parameters behind a colon: "energy", "knn:k=10", "neglabel:words=w.txt,share=0.2".
`fit(name, known)` gives a function of `Outputs`. What a score knows of training images, class names and text is in
`Known`; it never sees a test image but the one it scores. Each is one function, whose docstring is its paper.

Nothing here imports torch before a score is fitted: naming, typing and listing scores is instant.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from croftbench.errors import DataError, UsageError, unknown
from croftbench.rooms import callable_room
from croftbench.scorers import classes, distances, logits, negatives, shaping
from croftbench.scorers.context import Known, NotApplicableError, Scorer

__all__ = ["ALL", "SCORERS", "Asked", "Known", "NotApplicableError", "Scorer", "described", "fit", "parse", "split"]

Value = bool | int | float | str
Uses = Literal["logits", "train", "classes", "text"]


@dataclass(frozen=True)
class Entry:
    """A score that can be asked for.

    Attributes:
        make: (known, **parameters) -> Scorer; its signature has the parameters, their types and defaults.
        uses: beyond the logits: "train" images, "classes" (class features), "text" (the text tower).
        version: raised when the same name gives other numbers.
    """

    make: Callable[..., Scorer]
    uses: tuple[Uses, ...] = ("logits",)
    version: int = 1

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """All but `known`, in order."""
        return {name: p for name, p in inspect.signature(self.make).parameters.items() if name != "known"}

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return _paragraph(self.make, 0)

    @property
    def citation(self) -> str:
        """Title, venue and arXiv number of the paper."""
        return _paragraph(self.make, 1)


SCORERS: Mapping[str, Entry] = MappingProxyType(
    {
        "energy": Entry(logits.energy),
        "msp": Entry(logits.msp),
        "mcm": Entry(logits.mcm),
        "max_logit": Entry(logits.max_logit),
        "max_cosine": Entry(logits.max_cosine, ("classes",)),
        "entropy": Entry(logits.entropy),
        "margin": Entry(logits.margin),
        "knn": Entry(distances.knn, ("train",)),
        "mahalanobis": Entry(distances.mahalanobis, ("train",)),
        "relative_mahalanobis": Entry(distances.relative_mahalanobis, ("train",)),
        "vim": Entry(classes.vim, ("logits", "train", "classes")),
        "fdbd": Entry(classes.fdbd, ("logits", "train", "classes")),
        "nci": Entry(classes.nci, ("logits", "train", "classes")),
        "react": Entry(shaping.react, ("train", "classes")),
        "ash_p": Entry(shaping.ash_p, ("classes",)),
        "ash_b": Entry(shaping.ash_b, ("classes",)),
        "ash_s": Entry(shaping.ash_s, ("classes",)),
        "neglabel": Entry(negatives.neglabel, ("logits", "text")),
    }
)
"""Every score by the name that suites and the command line use."""

ALL = tuple(name for name, e in SCORERS.items() if all(p.default is not p.empty for p in e.parameters.values()))
"""What "all" stands for: every score that needs nothing from its user."""

RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "T": (lambda v: v > 0, "above 0"),
    "k": (lambda v: v >= 1, "at least 1"),
    "p": (lambda v: 0 <= v < 100, "from 0 to below 100"),
    "dim": (lambda v: v >= 0, "at least 0"),
    "alpha": (lambda v: v >= 0, "at least 0"),
    "share": (lambda v: 0 < v <= 1, "above 0, at most 1"),
    "eta": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "groups": (lambda v: v >= 1, "at least 1"),
    "words": (bool, "a file"),
}
"""What a parameter may be; one name means one thing in every score."""


@dataclass(frozen=True)
class Asked:
    """A score with all its parameters."""

    name: str
    params: Mapping[str, Value]

    @property
    def label(self) -> str:
        """The shortest name that asks for it: parameters at their default are left out."""
        known = SCORERS[self.name].parameters
        shown = ",".join(f"{k}={_text(v)}" for k, v in self.params.items() if v != known[k].default)
        return f"{self.name}:{shown}" if shown else self.name

    @property
    def files(self) -> dict[str, str]:
        """Digests of the files that its parameters name.

        Raises:
            DataError: one cannot be read.
        """
        return {k: _digest(Path(str(v))) for k, v in self.params.items() if k == "words"}

    def fit(self, known: Known) -> Scorer:
        """The score, fitted to what is known.

        Raises:
            NotApplicableError: it has no meaning here; may also be raised by the first outputs it is given.
        """
        return SCORERS[self.name].make(known, **self.params)


def fit(name: str, known: Known) -> Scorer:
    """The score called `name`, fitted to what is known.

    Raises:
        UsageError: see `parse`. NotApplicableError: it has no meaning here.
    """
    return parse(name).fit(known)


def parse(name: str) -> Asked:
    """Read a score's name.

    Raises:
        UsageError: an unknown score or parameter (the message suggests the closest), a value of the wrong type or out
            of its range, or a parameter that has no default and is missing.
    """
    kind, _, rest = name.partition(":")
    if kind not in SCORERS:
        raise unknown("scorer", kind, SCORERS)
    known = SCORERS[kind].parameters
    given: dict[str, Value] = {}
    for setting in filter(None, rest.split(",")):
        key, equals, value = setting.partition("=")
        if key not in known:
            raise unknown(f"parameter of {kind}", key, known) if known else UsageError(f"{kind} has no parameters.")
        if not equals:
            raise UsageError(f"'{setting}' in {name} is not of the form parameter=value.", "Example: knn:k=10")
        given[key] = _typed(kind, key, value)
    missing = [key for key, p in known.items() if p.default is p.empty and key not in given]
    if missing:
        raise UsageError(f"{kind} needs {missing[0]}.", f"Example: {kind}:{missing[0]}=path/to/words.txt")
    return Asked(kind, {key: given.get(key, p.default) for key, p in known.items()})


def split(names: str) -> list[Asked]:
    """Read names that commas separate, "all" among them; each once.

    A part with "=" and no score's name before it belongs to the score before: "knn:k=10,energy" and
    "neglabel:words=w.txt,share=0.2,energy" are two scores each.

    Raises:
        UsageError: see `parse`; or no name.
    """
    found: list[str] = []
    for part in (part.strip() for part in names.split(",")):
        if part and "=" in part and ":" not in part.partition("=")[0] and found:
            found[-1] += f",{part}"
        elif part:
            found += ALL if part == "all" else [part]
    if not found:
        raise UsageError("an empty list of scorers was given.", f"Choose from: all, {', '.join(SCORERS)}.")
    return list({asked.label: asked for asked in map(parse, found)}.values())


def described() -> Iterable[dict[str, str]]:
    """Name, what it is, its citation, what it uses and its parameters, for every score."""
    for name, entry in SCORERS.items():
        shown = (k if p.default is p.empty else f"{k}={_text(p.default)}" for k, p in entry.parameters.items())
        yield {
            "name": name,
            "what": entry.summary,
            "citation": entry.citation,
            "uses": ", ".join(entry.uses),
            "parameters": ", ".join(shown) or "none",
        }


# ------------------------------------------------------------------------------------- parameters


def _typed(kind: str, key: str, text: str) -> Value:
    """`text` as the parameter's type."""
    make = SCORERS[kind].make
    hint = typing.get_type_hints(make)[key]
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    try:
        value: Value = str(text) if hint is str or choices else hint(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise UsageError(f"'{text}' is not a value for {kind}'s {key}: it is of type {hint.__name__}.") from None
    if choices and value not in choices:
        raise unknown(f"value of {kind}'s {key}", text, choices)
    if key in RULES and not RULES[key][0](value):
        raise UsageError(f"{kind}'s {key} must be {RULES[key][1]}, not '{text}'.")
    return value


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.", "Check the path.") from error


def _paragraph(make: Callable[..., Any], number: int) -> str:
    """A paragraph of a docstring on one line."""
    parts = inspect.cleandoc(make.__doc__ or "").split("\n\n")
    return " ".join(parts[number].split()) if number < len(parts) else ""


callable_room(__name__)
