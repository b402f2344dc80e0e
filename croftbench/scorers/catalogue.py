"""The catalogue of detection scores, and reading what a user asks of it.

A score is asked for by name, with parameters behind a colon: "energy", "knn:k=10", "neglabel:share=0.2,groups=50".
Nothing here imports torch: naming, typing and listing scores is instant.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from croftbench.errors import UsageError, unknown
from croftbench.files import digest, file_digest
from croftbench.scorers import class_features, distances, logits, memories, negatives, shaping, streams
from croftbench.scorers.context import Context, Scorer, Stream
from croftbench.values import Value, convert

Uses = Literal["logits", "train", "classes", "text", "images"]


@dataclass(frozen=True)
class ScorerSpec:
    """A score that can be asked for.

    Attributes:
        make: (context, **parameters) -> Scorer, or Stream; its signature has the parameters, their types and defaults.
        uses: beyond the logits: "train" images, "classes" (class features), "text" (the text tower), "images" (the
            image tower).
        version: raised when the same name gives other numbers.
        stream: whether it is a `Stream`.
        by_name: left out of "all": a score of a stream, or one that costs minutes with the encoder that ships.
        author: the class of a score that a user wrote (see `scorers.own_scores`); None for one that ships.
        code: 12 digits that change with its source; "" for one that ships.
    """

    make: Callable[..., Scorer | Stream]
    uses: tuple[Uses, ...] = ("logits",)
    version: int = 1
    stream: bool = False
    by_name: bool = False
    author: type | None = None
    code: str = ""

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """All but `context`, in order."""
        asked = inspect.signature(self.author or self.make).parameters
        return {name: p for name, p in asked.items() if name != "context"}

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return _paragraph(self.make, 0)

    @property
    def citation(self) -> str:
        """Title, venue and arXiv number of the paper."""
        return _paragraph(self.make, 1)


SCORERS: Mapping[str, ScorerSpec] = MappingProxyType(
    {
        "energy": ScorerSpec(logits.energy),
        "msp": ScorerSpec(logits.msp, version=2),
        "mcm": ScorerSpec(logits.mcm, version=2),
        "max_logit": ScorerSpec(logits.max_logit),
        "max_cosine": ScorerSpec(logits.max_cosine, ("classes",)),
        "entropy": ScorerSpec(logits.entropy, version=2),
        "gen": ScorerSpec(logits.gen),
        "margin": ScorerSpec(logits.margin),
        "delta_energy": ScorerSpec(logits.delta_energy, ("logits", "classes")),
        "knn": ScorerSpec(distances.knn, ("train",)),
        "mahalanobis": ScorerSpec(distances.mahalanobis, ("train",)),
        "relative_mahalanobis": ScorerSpec(distances.relative_mahalanobis, ("train",)),
        "nnguide": ScorerSpec(memories.nnguide, ("logits", "train")),
        "she": ScorerSpec(memories.she, ("logits", "train")),
        "kl_matching": ScorerSpec(memories.kl_matching, ("logits", "train")),
        "residual": ScorerSpec(class_features.residual, ("train",)),
        "vim": ScorerSpec(class_features.vim, ("logits", "train", "classes")),
        "fdbd": ScorerSpec(class_features.fdbd, ("logits", "train", "classes")),
        "nci": ScorerSpec(class_features.nci, ("logits", "train", "classes")),
        "react": ScorerSpec(shaping.react, ("train", "classes")),
        "ash_p": ScorerSpec(shaping.ash_p, ("classes",)),
        "ash_b": ScorerSpec(shaping.ash_b, ("classes",)),
        "ash_s": ScorerSpec(shaping.ash_s, ("classes",)),
        "scale": ScorerSpec(shaping.scale, ("classes",)),
        "neglabel": ScorerSpec(negatives.neglabel, ("logits", "text"), version=2),
        "csp": ScorerSpec(negatives.csp, ("logits", "text"), by_name=True),
        "adaneg": ScorerSpec(streams.adaneg, ("logits", "classes", "text"), stream=True, by_name=True),
        "tanl": ScorerSpec(streams.tanl, ("classes", "text", "images"), stream=True, by_name=True),
    }
)
"""Every score by the name that suites and the command line use."""

ALL = tuple(name for name, spec in SCORERS.items() if not spec.by_name)
"""What "all" stands for: every score that is not asked for by name alone, with its defaults."""

RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "T": (lambda v: v > 0, "above 0"),
    "k": (lambda v: v >= 1, "at least 1"),
    "p": (lambda v: 0 <= v < 100, "from 0 to below 100"),
    "dim": (lambda v: v >= 0, "at least 0"),
    "alpha": (lambda v: v >= 0, "at least 0"),
    "blend": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "gap": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "weight": (lambda v: v >= 0, "at least 0"),
    "memory": (lambda v: v >= 2, "at least 2"),
    "batch": (lambda v: v >= 1, "at least 1"),
    "share": (lambda v: 0 < v <= 1, "above 0, at most 1"),
    "eta": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "gamma": (lambda v: v > 0, "above 0"),
    "top": (lambda v: v >= 1, "at least 1"),
    "c": (lambda v: v >= 1, "at least 1"),
    "groups": (lambda v: v >= 1, "at least 1"),
    "words": (bool, "'wordnet' or a file"),
}
"""What a parameter may be; one name means one thing in every score."""


CODE = "code"
"""What the digest of a user's own source is recorded under, among those of other files."""


@dataclass(frozen=True)
class Asked:
    """A score with all its parameters."""

    name: str
    params: Mapping[str, Value]
    own: ScorerSpec | None = None
    """Where a user wrote it."""

    @property
    def spec(self) -> ScorerSpec:
        """What it is."""
        return self.own or SCORERS[self.name]

    @property
    def label(self) -> str:
        """What tables call it: its name, and the parameters that are not at their default."""
        declared = self.spec.parameters
        shown = ",".join(f"{k}={_text(v)}" for k, v in self.params.items() if v != declared[k].default)
        return f"{self.name}:{shown}" if shown else self.name

    def file_digests(self) -> dict[str, str]:
        """Parameter -> SHA-256 of the file that it names; of their digests, where it names several. A score that a user
        wrote has the digest of its own source under "code".

        Raises:
            DataError: one cannot be read.
        """
        if self.own:
            return {CODE: self.own.code}
        named = {k: [*map(file_digest, negatives.word_files(str(v)))] for k, v in self.params.items() if k == "words"}
        return {k: one[0] if len(one) == 1 else digest(one) for k, one in named.items()}

    def fit(self, context: Context) -> Scorer:
        """The score, fitted.

        Raises:
            NotApplicableError: it has no meaning here; may also be raised by the first outputs it is given.
            UsageError: it is a score of a stream.
        """
        self.check_alone()
        made = self.spec.make(context, **self.params)
        if isinstance(made, Stream):
            raise TypeError(f"{self.label} is a score of a stream")
        return made

    def check_alone(self) -> None:
        """Check that an image has a value of this score by itself.

        Raises:
            UsageError: it is a score of a stream.
        """
        if self.spec.stream:
            raise UsageError(
                f"{self.label} is a score of a stream: an image has no value of it by itself.",
                f"`croftbench run --method zero-shot --scorers {self.label}` gives its numbers beside each open set.",
            )

    def stream(self, context: Context) -> Stream:
        """The score of a stream, ready to start.

        Raises:
            NotApplicableError: see `fit`.
        """
        made = self.spec.make(context, **self.params)
        if not isinstance(made, Stream):
            raise TypeError(f"{self.label} is no score of a stream")
        return made


def fit(name: str, context: Context) -> Scorer:
    """The score called `name`, fitted.

    Raises:
        UsageError: see `parse`. NotApplicableError: it has no meaning here.
    """
    return parse(name).fit(context)


def parse(name: str) -> Asked:
    """Read the name of a score that ships.

    Raises:
        UsageError: an unknown score or parameter (the message suggests the closest), a value of the wrong type or out
            of its range, a parameter that is given twice, or a score that a user wrote, which no suite may name.
    """
    kind, _, rest = name.partition(":")
    if ".py" in name:
        raise UsageError(f"{name} is no score that ships.", "Leave it out here, and ask for it with --scorers.")
    if kind not in SCORERS:
        raise unknown("scorer", kind, SCORERS)
    return Asked(kind, settings(kind, SCORERS[kind], rest))


def settings(name: str, spec: ScorerSpec, text: str) -> dict[str, Value]:
    """All parameters of a score: its defaults, and those that a text like "k=10,p=90" sets.

    Raises:
        UsageError: see `parse`.
    """
    declared = spec.parameters
    given: dict[str, Value] = {}
    for setting in filter(None, text.split(",")):
        key, equals, value = setting.partition("=")
        if not declared:
            raise UsageError(f"{name} has no parameters.", f"Give it as {name}.")
        if key not in declared:
            raise unknown(f"parameter of {name}", key, declared)
        if not equals:
            raise UsageError(f"'{setting}' of {name} is not of the form parameter=value.", "Example: knn:k=10")
        if key in given:
            raise UsageError(f"{name}'s {key} is given twice.", "Give it once.")
        given[key] = _value(name, spec, key, value)
    return {key: given.get(key, p.default) for key, p in declared.items()}


def parts(names: str) -> list[str]:
    """Names that commas separate, "all" among them, as one text each.

    A part with "=" and no score's name before it belongs to the score before: "knn:k=10,energy" and
    "neglabel:words=w.txt,share=0.2,energy" are two scores each.

    Raises:
        UsageError: no name.
    """
    whole: list[str] = []
    for part in (part.strip() for part in names.split(",")):
        if part and "=" in part and ":" not in part.partition("=")[0] and whole:
            whole[-1] += f",{part}"
        elif part:
            whole += ALL if part == "all" else [part]
    if not whole:
        raise UsageError("an empty list of scorers was given.", f"Choose from: all, {', '.join(SCORERS)}.")
    return whole


def described() -> Iterable[dict[str, str]]:
    """Name, what it is, its citation, what it uses and its parameters, for every score."""
    for name, spec in SCORERS.items():
        shown = (f"{k}={_text(p.default)}" for k, p in spec.parameters.items())
        yield {
            "name": name,
            "what": spec.summary,
            "citation": spec.citation,
            "uses": ", ".join(spec.uses),
            "parameters": ", ".join(shown) or "none",
        }


# ------------------------------------------------------------------------------------- parameters


def _value(name: str, spec: ScorerSpec, key: str, text: str) -> Value:
    """`text` as the parameter's type, within its range."""
    try:
        hint = typing.get_type_hints(spec.author or spec.make)[key]
    except NameError:  # a user's hint that only a function knows
        hint = type(spec.parameters[key].default)
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    value = convert(f"{name}'s {key}", text, str if choices else hint, choices)
    if spec.author is None and key in RULES and not RULES[key][0](value):
        raise UsageError(f"{name}'s {key} must be {RULES[key][1]}, not '{text}'.")
    return value


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _paragraph(make: Callable[..., Any], number: int) -> str:
    """A paragraph of a docstring on one line."""
    parts = inspect.cleandoc(make.__doc__ or "").split("\n\n")
    return " ".join(parts[number].split()) if number < len(parts) else ""
