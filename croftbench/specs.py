"""What a run is made of: suites as data, the images they draw, and the specification of one run. No I/O, no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

Shift = Literal["id", "covariate", "semantic"]

UNKNOWN = -1
"""Label of an image whose class the classifier does not know."""

FORBID = {"extra": "forbid"}
"""For pydantic, which reads the manifest types below: a key that is not a field is an error."""


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON: sorted keys, no spaces, full float precision."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


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
    """

    name: str
    pool: Pool
    rows: tuple[int, ...]
    labels: tuple[int, ...]
    domains: tuple[int, ...]

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
    """

    name: str
    classnames: tuple[str, ...]
    domains: tuple[str, ...]
    train: Split
    val: Split | None
    id: Split
    covariate: tuple[Split, ...]
    semantic: tuple[Split, ...]


# ---------------------------------------------------------------------------------------------- suites


@dataclass(frozen=True)
class ClassDraw:
    """Which classes a suite has, and which of them each seed makes known.

    Attributes:
        by: the table's column that names the class.
        groups: values of column `group` that classes come from.
        known: share of the classes that a seed draws as known (ID); the others are the near semantic shift.
        names: class name to show and to prompt with, where it is not the column's value; classes not listed are
            left out when the table is not empty.
        min_objects: classes with fewer objects than this are left out.
    """

    __pydantic_config__: ClassVar = FORBID
    by: str
    groups: tuple[str, ...]
    known: float = 1.0
    names: Mapping[str, str] = field(default_factory=dict)
    min_objects: int = 1


@dataclass(frozen=True)
class ObjectDraw:
    """How each seed shares out a class's objects (glyphs) among the roles; shares sum to 1."""

    __pydantic_config__: ClassVar = FORBID

    train: float
    val: float
    test: float


@dataclass(frozen=True)
class FoldSpec:
    """Which styles play which role in a fold.

    Attributes:
        name: the fold's name.
        train: styles of the training (and validation) images: the training domains.
        id: styles of the ID test images.
        covariate: split name -> style.
    """

    __pydantic_config__: ClassVar = FORBID

    name: str
    train: tuple[str, ...]
    id: tuple[str, ...]
    covariate: Mapping[str, str]


@dataclass(frozen=True)
class SemanticSpec:
    """Where a semantic-shift split comes from: the unknown classes, groups of the table, or another table."""

    __pydantic_config__: ClassVar = FORBID

    name: str
    source: Literal["unknown-classes", "groups", "table"]
    groups: tuple[str, ...] = ()
    table: str = ""


@dataclass(frozen=True)
class Protocol:
    """How a suite is run and scored.

    Attributes:
        shots: training images per class.
        seeds: the default seeds; each draws its own classes, images and initialisation.
        views: seeded augmented views cached for each training image; epoch e reads view e mod views.
        crop_scale: area range of the training crop.
        flip: mirror training views at random.
        scorers: detection scores to report.
        headline: the scorer shown in leaderboards.
    """

    __pydantic_config__: ClassVar = FORBID

    shots: int
    seeds: tuple[int, ...]
    views: int
    crop_scale: tuple[float, float]
    flip: bool
    scorers: tuple[str, ...]
    headline: str


@dataclass(frozen=True)
class Suite:
    """A named, versioned evaluation: classes, roles, prompts and protocol.

    Attributes:
        table: the image table it draws from.
        content: digest of that table's pixels.
        templates: prompts, `{}` for the class name; several are averaged (see method.Task.text).
        recipes: method name -> hyper-parameters that belong to this suite.
        digest: of the manifest's content.
    """

    name: str
    version: int
    title: str
    table: str
    content: str
    templates: tuple[str, ...]
    classes: ClassDraw
    objects: ObjectDraw | None
    folds: tuple[FoldSpec, ...]
    semantic: tuple[SemanticSpec, ...]
    protocol: Protocol
    recipes: Mapping[str, Mapping[str, Any]]

    @cached_property
    def digest(self) -> str:
        """Of everything that decides what is evaluated; recipes are part of a run's parameters instead."""
        content = asdict(self)
        del content["recipes"], content["title"]
        return digest(content)


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
