"""What a run is made of: suites as data, the images they draw, and the specification of one run. No I/O, no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from croftbench.language import FORBID as FORBID
from croftbench.language import ClassDraw, FoldSpec, Protocol, ReferenceSpec, SemanticSpec, Shares, ValSpec

Shift = Literal["id", "covariate", "semantic", "reference", "named"]
"""What a test split is: known classes as trained or in a new manner; unknown classes; positives of detection that are
neither of the first two; unknown classes under their own names."""

UNKNOWN = -1
"""Label of an image whose class the classifier does not know."""


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON: sorted keys, no spaces, full precision; file names may be any bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# ---------------------------------------------------------------------------------------------- images


@dataclass(frozen=True)
class Pool:
    """Images that are encoded together, once: a whole test set, or the few-shot images of one draw.

    Attributes:
        name: for people, e.g. "emoji/twemoji".
        table: the image table that the paths belong to ("emoji", "digits").
        paths: one key a picture, in encoding order.
        content: digest of the table's pixels, so that other bytes never share a cache entry.
    """

    name: str
    table: str
    paths: tuple[str, ...]
    content: str

    @cached_property
    def digest(self) -> str:
        """Changes with any path, their order, or the pixels behind them."""
        return digest([self.table, self.content, self.paths])


@dataclass(frozen=True)
class Split:
    """Rows of a pool in one role.

    Attributes:
        name: as it appears in tables, e.g. "line art".
        pool: where the images are.
        rows: positions in the pool.
        labels: class of each row, or UNKNOWN.
        domains: domain of each row (a position in the fold's domain names); 0 where there is none.
        space: label space, where it is not all known classes: for each known class the label that it counts as, or
            UNKNOWN for one that is no possible answer.
    """

    name: str
    pool: Pool
    rows: tuple[int, ...]
    labels: tuple[int, ...]
    domains: tuple[int, ...]
    space: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, wanted: list[int], labels: Mapping[int, int], name: str) -> Split:
        """The entries at positions `wanted`, their labels translated by `labels` (missing ones become UNKNOWN)."""
        return Split(
            name,
            self.pool,
            tuple(self.rows[i] for i in wanted),
            tuple(labels.get(self.labels[i], UNKNOWN) for i in wanted),
            tuple(self.domains[i] for i in wanted),
        )


@dataclass(frozen=True)
class NamedSplit:
    """Images of unknown classes, to be told apart under their own names by a classifier that is given these.

    Attributes:
        classnames: in the order of the split's labels.
        split: labels are positions in `classnames`.
    """

    classnames: tuple[str, ...]
    split: Split


@dataclass(frozen=True)
class Fold:
    """One train-and-test round: the roles of its images.

    Attributes:
        name: "all" where a suite has one fold, else what is left out.
        classnames: known classes in label order.
        domains: names of the training domains.
        train: few-shot training images.
        val: held-out images of the training distribution, or None.
        id: test images of known classes in a known manner.
        covariate: test images of known classes in new manners.
        semantic: test images of unknown classes.
        templates: the prompts.
        reference: positives of detection, where they are not `id`; they may be images of other roles.
        named: images of `semantic` with their own classes.
        bank: training images for scores that look at neighbours, where they are not `train`.
        sources: split id -> what it is on this disk (layout, digest, images, state), for a run's record.
    """

    name: str
    classnames: tuple[str, ...]
    domains: tuple[str, ...]
    train: Split
    val: Split | None
    id: Split
    covariate: tuple[Split, ...]
    semantic: tuple[Split, ...]
    templates: tuple[str, ...] = ()
    reference: Split | None = None
    named: tuple[NamedSplit, ...] = ()
    bank: Split | None = None
    sources: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)

    @property
    def tests(self) -> list[tuple[Shift, Split]]:
        """Every split that a classifier of the known classes is tested on, in the order of a run's tables."""
        roles: list[tuple[Shift, Split]] = [("id", self.id)]
        roles += [("covariate", split) for split in self.covariate]
        roles += [("semantic", split) for split in self.semantic]
        if self.reference is not None:
            roles.append(("reference", self.reference))
        return roles


# ---------------------------------------------------------------------------------------------- suites


@dataclass(frozen=True)
class Suite:
    """A named, versioned evaluation: classes, roles, prompts and protocol, as `croftbench.language` describes them.

    Attributes:
        content: digest of what its families are: shipped pixels, class lists.
        templates: prompts, `{}` for the class name; several are averaged (see method.Task.text).
        shares: how one part's images are dealt out among the roles, or None.
        val: where validation images come from, or None for none.
        reference: positives of detection that are not the ID test images, or None.
        recipes: method name -> hyper-parameters that belong to this suite.
        notes: what a reader of its numbers must know: choices made, and what is not covered.
        digest: of the manifest's content.
    """

    name: str
    version: int
    title: str
    content: str
    templates: tuple[str, ...]
    classes: ClassDraw
    folds: tuple[FoldSpec, ...]
    semantic: tuple[SemanticSpec, ...]
    protocol: Protocol
    shares: Shares | None = None
    val: ValSpec | None = None
    reference: ReferenceSpec | None = None
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: str = ""

    @cached_property
    def digest(self) -> str:
        """Of everything that decides what is evaluated; recipes are part of a run's parameters instead."""
        content = asdict(self)
        for name in ("recipes", "title", "notes"):
            del content[name]
        return digest(content)

    @property
    def official(self) -> bool:
        """Whether it copies a published protocol, faults included."""
        return self.name.endswith("-official")

    @property
    def named(self) -> tuple[str, ...]:
        """Names of the splits in which unknown classes are told apart under their own names."""
        return tuple(spec.named for spec in self.semantic if spec.named)


# ---------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class RunSpec:
    """What was asked: everything that decides the numbers.

    Attributes:
        suite, suite_digest, fold: what is evaluated.
        method: registered name, or "Class" of a user's file.
        method_version: the method's own version.
        source: digest of a user's method file; "" for a built-in method.
        params: all hyper-parameters, defaults included.
        encoder, weights_digest, transform: the frozen encoder, its weights, its test transform.
        shots, seed, views: as in Protocol.
        precision: of features, logits and scores.
    """

    suite: str
    suite_digest: str
    fold: str
    method: str
    method_version: int
    source: str
    params: Mapping[str, Any]
    encoder: str
    weights_digest: str
    transform: str
    shots: int
    seed: int
    views: int
    precision: str = "float32"

    @cached_property
    def run_id(self) -> str:
        """The first 12 hexadecimal digits of the specification's digest."""
        return digest(asdict(self))[:12]
