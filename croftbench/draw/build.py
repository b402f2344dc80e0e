"""From a suite and a seed to the images of every role: the one place where folds are built.

Draws of classes are in `classes`, of objects and shares in `shares`, of images in `shots`. Every role has a stream of
its own, so leaving one out (training images, for a method that needs none) changes no other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.draw import namesakes, overlap, shots
from croftbench.draw.classes import Classes
from croftbench.draw.gather import Gatherer, Images, Ints, own_pool
from croftbench.draw.roles import TEST, TRAIN, VAL, Labels
from croftbench.draw.splits import UNKNOWN, Fold, NamedSplit, Split
from croftbench.errors import DataError
from croftbench.files import digest
from croftbench.suites.language import FoldSpec, SemanticSpec, Shifted, Suite

SHOTS, SEMANTIC, VALIDATION, REFERENCE, BANK = (1000 * i for i in range(1, 6))
"""Added to the seed: a stream for each role."""


def folds(
    suite: Suite,
    seed: int,
    count: int | None = None,
    *,
    roots: Roots | None = None,
    train: bool = True,
    allow_incomplete: bool = False,
) -> list[Fold]:
    """The suite's folds as this seed draws them.

    Args:
        suite: what to draw.
        seed: decides known classes, the objects of each role, and the few-shot images.
        count: training images per class; the suite's own number when None.
        roots: where data are; shipped ones only when None.
        train: with training images; without, they need not be on the disk.
        allow_incomplete: take splits whose counts are not the manifest's.

    Raises:
        DataError: a split is not there, or a class has no image in a role that needs one.
    """
    gatherer = Gatherer(roots or Roots(), allow_incomplete, suite.groups)
    shots = count or suite.protocol.shots
    return [_Builder(suite, spec, seed, shots, gatherer, train and bool(spec.train)).fold() for spec in suite.folds]


def fold(
    suite: Suite,
    name: str,
    seed: int,
    count: int | None = None,
    *,
    roots: Roots | None = None,
    train: bool = True,
    allow_incomplete: bool = False,
) -> Fold:
    """One fold of `folds`; without training images, which then need not be on the disk, where `train` is False."""
    spec = next(spec for spec in suite.folds if spec.name == name)
    gatherer = Gatherer(roots or Roots(), allow_incomplete, suite.groups)
    return _Builder(suite, spec, seed, count or suite.protocol.shots, gatherer, train and bool(spec.train)).fold()


def subset(split: Split) -> Pool:
    """The pool of a split's own images, in the split's order: what training views are encoded from."""
    return own_pool(split).pool


@dataclass
class _Builder:
    """One fold of one seed."""

    suite: Suite
    spec: FoldSpec
    seed: int
    count: int
    gatherer: Gatherer
    train: bool = True

    @cached_property
    def labels(self) -> Labels:
        return Labels(self.suite, self.spec, self.seed, self.gatherer)

    @property
    def classes(self) -> Classes:
        return self.labels.classes

    def fold(self) -> Fold:
        train = self._train() if self.train else self._empty()
        val = self._val(train) if self.train else None
        inside = self._tested("id", Shifted(self.spec.id))
        covariate = tuple(self._tested(name, one) for name, one in self.spec.shifted().items())
        made = Fold(
            self.spec.name,
            self.classes.named(self.classes.known),
            tuple(self.labels.training),
            train,
            val,
            inside,
            covariate,
            tuple(self._semantic(spec) for spec in self.suite.semantic),
            self.spec.templates or self.suite.templates,
            self._reference(val, covariate),
            tuple(self._named(spec) for spec in self.suite.semantic if spec.named),
            self._bank() if self.train and self.suite.protocol.bank else None,
            self._candidates() if self.train else None,
            self._sources(),
            namesakes.among(self.suite, self.classes, self._chosen),
        )
        overlap.check(made, self.suite)
        return made

    def _sources(self) -> dict[str, dict[str, str | int]]:
        """What the fold's splits are on this disk; of those that are shared out, which images do not train."""
        used = self.suite.used(self.spec, self.train)
        sources = {split: dict(self.gatherer.met[split]) for split in sorted(used & set(self.gatherer.met))}
        if self.suite.shares and self.suite.shares.unit == "image":
            images, parts = self._home(self.spec.train)
            roles, domains = self.labels.roles(images), images.domains(parts)
            for domain, split in enumerate(self.spec.train):
                rows = np.flatnonzero((domains == domain) & (roles != TRAIN)).tolist()
                names = sorted(f"{images.class_of(row)}/{images.name_of(row)}" for row in rows)
                sources.setdefault(split, {})["held_out"] = digest(names)
        return sources

    # ------------------------------------------------------------------------------ splits

    def _train(self) -> Split:
        images, parts = self._home(self.spec.train)
        rows = self._rows(images, parts, TRAIN)
        labels, domains = self.labels.of(images)[rows], images.domains(parts)[rows]
        if missing := sorted(set(range(len(self.classes.known))) - set(labels.tolist())):
            key = self.classes.known[missing[0]]
            raise DataError(f"suite '{self.suite.name}': class '{key}' has no training image.", self._advice())
        if self.suite.protocol.sampler == "even":
            labels, domains, rows = self._even(rows, labels, domains, len(parts))
            return self._kept(images, images.split("train", rows, labels, domains))
        stream = random.Random(self.seed)
        if self.suite.protocol.sampler == "domain" and self.count > 4:
            chosen = shots.per_domain(labels, domains, self.count, stream)
        else:
            chosen = shots.per_class(labels, self.count, stream)
        return self._kept(images, images.split("train", rows[chosen], labels[chosen], domains[chosen]))

    def _candidates(self) -> Split | None:
        """All images of a shipped table that a seed may draw for any fold; other sets may be too large to encode."""
        images, _ = self._home(self.spec.train)
        if not images.family.shipped:
            return None
        parts = self._parts([*dict.fromkeys(split for spec in self.suite.folds for split in spec.train)])
        some = UNKNOWN if self.suite.classes.draw == "random" else 0  # classes that another seed makes known
        rows = np.flatnonzero((images.domains(parts) >= 0) & (self.labels.of(images) >= some))
        return images.split("train", rows, np.full(len(rows), UNKNOWN))

    def _even(self, rows: Ints, labels: Ints, domains: Ints, count: int) -> tuple[Ints, Ints, Ints]:
        """Labels, domains and rows of the shots."""
        stream = np.random.RandomState(self.seed + SHOTS)
        of_class, picked = shots.by_value(labels), []
        for label in range(len(self.classes.known)):
            at = of_class[label]
            by_domain = [rows[at[domains[at] == domain]].tolist() for domain in range(count)]
            picked += [(label, *pick) for pick in shots.even(by_domain, self.count, stream)]
        columns = np.array(picked, dtype=np.int64).T
        return columns[0], columns[1], columns[2]

    def _val(self, train: Split) -> Split | None:
        spec, limit = self.suite.val, 0 if self.suite.val is None else self.suite.val.per_class
        if self.spec.val:
            images, parts = self._home(self.spec.val)
            rows = self._rows(images, parts, None)
        elif spec is None:
            return None
        else:
            split_ids = self.spec.id if spec.source == "test" else self.spec.train
            images, parts = self._home(split_ids)
            rows = self._rows(images, parts, {"train": TRAIN, "share": VAL, "test": TEST}[spec.source])
            if spec.source == "train":
                taken = {train.pool.paths[row] for row in train.rows}
                rows = np.array([row for row in rows if images.pool.paths[row] not in taken], dtype=np.int64)
        rows = rows[shots.limited(self.labels.of(images)[rows], limit, 0, self._stream(VALIDATION))]
        val = images.split("val", rows, self.labels.of(images)[rows], images.domains(parts)[rows])
        return self._kept(images, self._filled(val))

    def _tested(self, name: str, spec: Shifted) -> Split:
        """All test images of known classes in these splits."""
        images, parts = self._home(spec.splits)
        known_as = self.labels.of(images)
        space: tuple[int, ...] = ()
        if spec.mapping:
            known_as, space = self.labels.mapped(images, spec.mapping)
        elif spec.classes == "own":
            space = self.labels.own_space(images.family, parts)
        domains = images.domains(parts)
        rows = np.flatnonzero((domains >= 0) & (known_as >= 0) & np.isin(self.labels.roles(images), (-1, TEST)))
        split = images.split(name, rows, known_as[rows], domains[rows])
        return self._filled(Split(name, split.pool, split.rows, split.labels, split.domains, space))

    def _semantic(self, spec: SemanticSpec) -> Split:
        images, rows = self._chosen(spec)
        split = self._filled(images.split(spec.name, rows, np.full(len(rows), UNKNOWN)))
        return own_pool(split) if spec.limit or spec.per_class else split  # else all of a large set were encoded

    def _chosen(self, spec: SemanticSpec) -> tuple[Images, Ints]:
        """The images of a semantic split."""
        images, parts = self._home(spec.within(self.spec))
        rows = np.flatnonzero(images.domains(parts) >= 0)
        if spec.source == "unknown-classes":
            rows = rows[self.labels.of(images)[rows] == UNKNOWN]
        elif spec.source == "groups":
            rows = np.array([row for row in rows if images.table[row].group in spec.groups], dtype=np.int64)
        rows = images.but(rows, spec.exclude)
        limit = shots.limited(images.labels[rows], spec.per_class, spec.limit, self._stream(SEMANTIC))
        return images, rows[limit]

    def _named(self, spec: SemanticSpec) -> NamedSplit:
        """The same images under their own names."""
        images, rows = self._chosen(spec)
        if spec.source == "unknown-classes":
            place = {key: i for i, key in enumerate(self.classes.unknown)}
            lookup = np.array([place.get(key, UNKNOWN) for key in images.family.ids], dtype=np.int64)
            names, labels = self.classes.named(self.classes.unknown), lookup[images.labels[rows]]
        else:
            names, labels = images.family.classnames, images.labels[rows]
        return NamedSplit(names, images.split(spec.named, rows, labels))

    def _reference(self, val: Split | None, covariate: Sequence[Split]) -> Split | None:
        spec = self.suite.reference
        if spec is None:
            return None
        source = covariate[0] if spec.role == "covariate" else val
        if source is None:  # the method needs no training images, so none were drawn
            source = self._val(self._empty())
        if source is None:
            raise DataError(f"suite '{self.suite.name}' has no images for its reference.", "`croftbench check`")
        chosen = shots.limited(source.labels, spec.per_class, 0, self._stream(REFERENCE)).tolist()
        same = {label: label for label in source.labels}
        return source.keep(chosen, same, "positives")

    def _bank(self) -> Split:
        images, parts = self._home(self.spec.train)
        rows = self._rows(images, parts, TRAIN)
        limit = self.suite.protocol.bank
        rows = rows[shots.limited(self.labels.of(images)[rows], limit, 0, self._stream(BANK))]
        return self._kept(images, images.split("bank", rows, self.labels.of(images)[rows], images.domains(parts)[rows]))

    # ------------------------------------------------------------------------------ where images are

    @cached_property
    def _pooled(self) -> dict[str, list[str]]:
        """Family -> the parts that any fold tests on: they are encoded together, once for all folds and seeds."""
        parts: dict[str, list[str]] = {}
        for spec in self.suite.folds:
            for split in (*spec.tested, *(s for semantic in self.suite.semantic for s in semantic.splits)):
                family, part = self.labels.resolve(split)
                if part not in parts.setdefault(family.name, []):
                    parts[family.name].append(part)
        return parts

    def _home(self, split_ids: Sequence[str]) -> tuple[Images, list[str]]:
        """The images that some splits of one family are pooled with, and the splits' parts."""
        family, parts = self.labels.resolve(split_ids[0])[0], self._parts(split_ids)
        together = self._pooled.get(family.name, [])
        return self.gatherer.images(family, together if set(parts) <= set(together) else parts), parts

    def _kept(self, images: Images, split: Split) -> Split:
        """A training or validation split: in the pool of test images if it is of these, else in one of its own."""
        tested = images.family.shipped or {p.name for p in images.family.parts if images.code(p.name) in images.parts}
        pooled = tested is True or tested <= set(self._pooled.get(images.family.name, []))
        return split if pooled else own_pool(split)

    def _rows(self, images: Images, parts: Sequence[str], role: int | None) -> Ints:
        """Images of known classes in these parts, in one role or in none."""
        wanted = (images.domains(parts) >= 0) & (self.labels.of(images) >= 0)
        if role is not None:
            wanted &= np.isin(self.labels.roles(images), (-1, role))
        return np.flatnonzero(wanted)

    def _parts(self, split_ids: Sequence[str]) -> list[str]:
        return [self.labels.resolve(split)[1] for split in split_ids]

    def _stream(self, role: int) -> np.random.RandomState:
        return np.random.RandomState(self.seed + role)

    def _empty(self) -> Split:
        return Split("train", Pool("none", "none", (), ""), (), (), ())

    def _filled(self, split: Split) -> Split:
        if not split.rows:
            where = f"split '{split.name}' of suite '{self.suite.name}', fold '{self.spec.name}'"
            raise DataError(f"{where} has no image.", self._advice())
        return split

    def _advice(self) -> str:
        if self.labels.family.shipped:
            return "Check the suite's classes and shares."
        return "`croftbench data status` says what the splits hold."
