"""What each image is to one fold of one seed: its label, its role, the label space it is classified in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from croftbench.draw import shares
from croftbench.draw.classes import OUTSIDE, Classes, of_family, of_table
from croftbench.draw.gather import Gatherer, Images, Ints
from croftbench.draw.splits import UNKNOWN
from croftbench.suites import lists, registry
from croftbench.suites.families import Family
from croftbench.suites.language import FoldSpec, Suite

TRAIN, VAL, TEST = range(3)
"""Positions in `shares.ROLES`."""


@dataclass
class Labels:
    """The classes of a fold, and labels and roles by them.

    Attributes:
        suite, spec, seed: of the fold.
        gatherer: where images come from.
    """

    suite: Suite
    spec: FoldSpec
    seed: int
    gatherer: Gatherer
    _labels: dict[Images, Ints] = field(default_factory=dict)
    _roles: dict[Images, Ints] = field(default_factory=dict)
    _resolved: dict[str, tuple[Family, str]] = field(default_factory=dict)

    def resolve(self, split_id: str) -> tuple[Family, str]:
        """The family and the name of the part that a split id stands for."""
        if split_id not in self._resolved:
            family, part = registry.split(split_id, self.gatherer.roots.manifests)
            self._resolved[split_id] = family, part.name
        return self._resolved[split_id]

    @cached_property
    def family(self) -> Family:
        """What names the fold's classes."""
        return self.resolve(self.spec.class_splits[0])[0]

    @cached_property
    def training(self) -> list[str]:
        """The parts that the fold trains on."""
        return [self.resolve(split)[1] for split in self.spec.train]

    @cached_property
    def classes(self) -> Classes:
        """The known and unknown classes."""
        return self._drawn[0]

    @cached_property
    def _drawn(self) -> tuple[Classes, dict[str, int]]:
        """The classes, and the role of each object where objects are shared out."""
        draw, dealt = self.suite.classes, self.suite.shares
        if draw.by == "class":
            listed = lists.ids(draw.list, self.gatherer.roots.manifests) if draw.list else ()
            parts = [self.resolve(split)[1] for split in self.spec.class_splits]
            return of_family(draw, self.family, parts, listed, self.seed), {}
        stream = np.random.RandomState(self.seed)
        table = self.gatherer.images(self.family, ()).table
        classes, objects = of_table(draw, table, self.suite.name, stream)
        if dealt is None or dealt.unit != "object":
            return classes, {}
        return classes, shares.of_objects(objects, classes.known, dealt, stream)

    def of(self, images: Images) -> Ints:
        """(N,) label of each image: of a known class, UNKNOWN, or OUTSIDE."""
        if images not in self._labels:
            if images.table and self.suite.classes.by != "class":
                labels = self.classes.labels_in(images.table, self.suite.classes)
            else:
                labels = self.classes.labels_of(images.family)[images.labels]
            self._labels[images] = labels
        return self._labels[images]

    def roles(self, images: Images) -> Ints:
        """(N,) role of each image that plays only one; -1 for images that are not shared out."""
        if images not in self._roles:
            self._roles[images] = self._dealt(images)
        return self._roles[images]

    def _dealt(self, images: Images) -> Ints:
        dealt, roles = self.suite.shares, np.full(len(images.parts), -1, dtype=np.int64)
        if dealt is None or images.family.name != self.family.name:
            return roles
        if dealt.unit == "object":
            objects = self._drawn[1]
            return np.array([objects.get(row.name, -1) for row in images.table], dtype=np.int64)
        for part in self.training:
            code = images.code(part)
            for label in np.unique(images.labels[images.parts == code]).tolist():
                rows = np.flatnonzero((images.parts == code) & (images.labels == label))
                names = [images.name_of(row) for row in rows.tolist()]
                roles[rows] = shares.of_images(part, images.family.ids[label], names, dealt)
        return roles

    def own_space(self, family: Family, parts: list[str]) -> tuple[int, ...]:
        """The label space of the known classes that these parts have (see Split.space)."""
        of_class = self.classes.labels_of(family)
        own = {int(label) for part in parts for label in of_class[list(family.part(part).members)]}
        return tuple(label if label in own else UNKNOWN for label in range(len(self.classes.known)))

    def mapped(self, images: Images, file: str) -> tuple[Ints, tuple[int, ...]]:
        """(N,) labels by a list of which known classes a class is, and the label space that the list makes."""
        place = {key: label for label, key in enumerate(self.classes.known)}
        of_class = np.full(len(images.family.ids) + 1, OUTSIDE, dtype=np.int64)
        space = [UNKNOWN] * len(place)
        mapping = lists.mapping(file, self.gatherer.roots.manifests)
        for position, key in enumerate(images.family.ids):
            same = [place[one] for one in mapping.get(key, ()) if one in place]
            for label in same:
                space[label] = of_class[position] = same[0]
        return of_class[images.labels], tuple(space)
