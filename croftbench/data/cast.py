"""A suite over somebody's folder before it is written: its data sets, and which part plays which role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from croftbench.data.looking import Group
from croftbench.suites import registry


@dataclass(frozen=True)
class Part:
    """A group in one role, as a part of a family.

    Attributes:
        name: of the part.
        group: where its images are.
        subset: its classes, as called on disk.
    """

    name: str
    group: Group
    subset: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many are in its classes."""
        return sum(self.group.classes[key] for key in self.subset) if self.subset else self.group.images


@dataclass(frozen=True)
class Data:
    """A family: parts below one root, with one list of classes (id -> name)."""

    name: str
    root: str
    parts: tuple[Part, ...]
    classes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """Split ids of one fold's roles; `covariate` by name."""

    name: str
    train: tuple[str, ...]
    id: tuple[str, ...]
    val: tuple[str, ...] = ()
    covariate: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cast:
    """A suite over a folder, as it would be written.

    Attributes:
        name: of the suite.
        data: its data sets.
        folds: roles; none trains where only methods that learn nothing shall run.
        unknown: name of a set of unknown classes -> split id.
        shots: training images a class.
        share: of the images that train, where one group trains and tests; 0 elsewhere.
        validates: whether images that no shot took are left to validate.
        templates: prompts that came with the images.
        said: what was seen and decided, a line each.
    """

    name: str
    data: tuple[Data, ...]
    folds: tuple[Fold, ...]
    unknown: Mapping[str, str]
    shots: int
    share: float
    validates: bool
    templates: tuple[str, ...]
    said: tuple[str, ...]

    @property
    def trains(self) -> bool:
        """Whether there are training images."""
        return any(fold.train for fold in self.folds)

    @property
    def next(self) -> str:
        """What to type to run it, but for the file."""
        return f"croftbench run --method {'zero-shot,tip-adapter' if self.trains else 'zero-shot'} --suite"


def slug(name: str) -> str:
    """A name of letters, digits, "_", "-" and "."."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "images"


def readable(key: str) -> str:
    """A class as a prompt would call it: 001.House_Sparrow -> House Sparrow; an id of WordNet by ImageNet's name."""
    if re.fullmatch(r"n\d{8}", key):
        imagenet = registry.family("imagenet")
        return dict(zip(imagenet.ids, imagenet.classnames, strict=True)).get(key, key)
    words = re.sub(r"^\d+\W+|_+", lambda one: " " if one[0].startswith("_") else "", key).strip()
    return words or key
