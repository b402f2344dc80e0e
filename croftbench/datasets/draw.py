"""Seeded draws: which classes are known, which objects train, which images play which role.

All draws come from NumPy's legacy RandomState, whose streams are frozen for good, so a seed means the same images on
every machine and in every year.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from croftbench import manifest
from croftbench.datasets.tables import Row, rows
from croftbench.errors import DataError
from croftbench.specs import UNKNOWN, Fold, FoldSpec, Pool, SemanticSpec, Split, Suite

HELD_OUT = 0.25
"""Share of the known classes that a tuning fold treats as unknown."""


def folds(suite: Suite, seed: int, shots: int | None = None) -> list[Fold]:
    """The suite's folds as this seed draws them.

    Args:
        suite: what to draw.
        seed: decides known classes, the objects of each role, and the few-shot images.
        shots: training images per class; the suite's own number when None.

    Raises:
        DataError: a class has no image in a role that needs one.
    """
    draw = _Draw.make(suite, seed)
    return [_fold(suite, draw, spec, seed, shots or suite.protocol.shots) for spec in suite.folds]


def tuning_folds(fold: Fold, seed: int) -> list[Fold]:
    """Folds to choose hyper-parameters on, made of the fold's training images alone.

    Each training domain is left out once as the covariate shift, and a quarter of the known classes is left out as
    the near semantic shift, so both of a suite's questions are asked without an image of any test role.

    Raises:
        DataError: the fold has fewer than two training domains.
    """
    if len(fold.domains) < 2:
        raise DataError(f"fold '{fold.name}' has one training domain; there is none to hold out.", "Tune elsewhere.")
    order = np.random.RandomState(seed).permutation(len(fold.classnames)).tolist()
    known = sorted(order[round(HELD_OUT * len(order)) :])
    labels = {old: new for new, old in enumerate(known)}
    train, found = fold.train, []
    for held_out, domain in enumerate(fold.domains):
        inside = [
            i for i, (y, d) in enumerate(zip(train.labels, train.domains, strict=True)) if d != held_out and y in labels
        ]
        outside = [i for i, d in enumerate(train.domains) if d == held_out]
        old = [i for i in outside if train.labels[i] in labels]
        new = [i for i in outside if train.labels[i] not in labels]
        found.append(
            Fold(
                f"{fold.name}/without {domain}",
                tuple(fold.classnames[i] for i in known),
                fold.domains,
                train.keep(inside, labels, "train"),
                None,
                train.keep(old, labels, domain),
                (train.keep(old, labels, domain),),
                (train.keep(new, labels, "near"),),
            )
        )
    return found


@dataclass(frozen=True)
class _Draw:
    """One seed's classes and objects."""

    known: tuple[str, ...]  # class keys in label order
    unknown: frozenset[str]
    role: dict[str, str]  # object name -> "train" | "val" | "test"; empty when objects are not shared out
    table: tuple[Row, ...]
    by: str

    @classmethod
    def make(cls, suite: Suite, seed: int) -> _Draw:
        table, classes = rows(suite.table), suite.classes
        wanted = [r for r in table if r.group in classes.groups]
        objects: dict[str, set[str]] = defaultdict(set)
        for row in wanted:
            objects[getattr(row, classes.by)].add(row.name)
        keys = sorted(
            k
            for k, names in objects.items()
            if (not classes.names or k in classes.names) and len(names) >= classes.min_objects
        )
        for key in classes.names:
            if key not in objects:
                raise DataError(f"suite '{suite.name}': class '{key}' has no image.", "Check its [classes.names].")
        random = np.random.RandomState(seed)
        order = [keys[i] for i in random.permutation(len(keys))]
        count = round(classes.known * len(keys))
        role: dict[str, str] = {}
        if suite.objects is not None:
            for key in sorted(order[:count]):
                names = sorted(objects[key])
                shuffled = [names[i] for i in random.permutation(len(names))]
                train, val = round(suite.objects.train * len(names)), round(suite.objects.val * len(names))
                for i, name in enumerate(shuffled):
                    role[name] = "train" if i < train else "val" if i < train + val else "test"
        return cls(tuple(sorted(order[:count])), frozenset(order[count:]), role, table, classes.by)

    def select(self, styles: Sequence[str], role: str) -> dict[str, list[list[int]]]:
        """Class key -> for each style, positions of the table's rows in this role."""
        chosen: dict[str, list[list[int]]] = {key: [[] for _ in styles] for key in self.known}
        where = {style: i for i, style in enumerate(styles)}
        for position, row in enumerate(self.table):
            key = getattr(row, self.by)
            if row.style in where and key in chosen and self.role.get(row.name, role) == role:
                chosen[key][where[row.style]].append(position)
        return chosen


def _fold(suite: Suite, draw: _Draw, spec: FoldSpec, seed: int, shots: int) -> Fold:
    pool = whole(suite.table)
    random = np.random.RandomState(seed + 1000)
    train = draw.select(spec.train, "train")
    picks = [(i, *pick) for i, key in enumerate(draw.known) for pick in _few(train[key], shots, random, key, suite)]
    val = None
    if suite.objects is not None and suite.objects.val:
        val = _labelled("val", pool, draw, spec.train, "val")
    return Fold(
        spec.name,
        tuple(suite.classes.names.get(key, key) for key in draw.known),
        spec.train,
        Split(
            "train", pool, tuple(r for _, _, r in picks), tuple(y for y, _, _ in picks), tuple(d for _, d, _ in picks)
        ),
        val,
        _labelled("id", pool, draw, spec.id, "test"),
        tuple(_labelled(name, pool, draw, (style,), "test") for name, style in spec.covariate.items()),
        tuple(_semantic(s, draw, spec, pool) for s in suite.semantic),
    )


def _few(
    by_style: list[list[int]], shots: int, random: np.random.RandomState, key: str, suite: Suite
) -> Iterable[tuple[int, int]]:
    """(domain, row) of up to `shots` images of one class, as evenly over the styles as they allow."""
    queues = [[rows[i] for i in random.permutation(len(rows))] for rows in by_style]
    order = random.permutation(len(queues)).tolist()
    picked: list[tuple[int, int]] = []
    while len(picked) < shots and any(queues):
        for domain in order:
            if queues[domain] and len(picked) < shots:
                picked.append((domain, queues[domain].pop()))
    if not picked:
        raise DataError(f"suite '{suite.name}': class '{key}' has no training image.", "Raise its share of objects.")
    return sorted(picked)


def _labelled(name: str, pool: Pool, draw: _Draw, styles: Sequence[str], role: str) -> Split:
    """All images of the known classes in one role."""
    chosen = [
        (row, label, domain)
        for label, by_style in enumerate(draw.select(styles, role).values())
        for domain, positions in enumerate(by_style)
        for row in positions
    ]
    if not chosen:
        raise DataError(f"split '{name}' of styles {', '.join(styles)} has no image.", "`croftbench check`")
    found, labels, domains = zip(*sorted(chosen), strict=True)
    return Split(name, pool, found, labels, domains)


def _semantic(spec: SemanticSpec, draw: _Draw, fold: FoldSpec, pool: Pool) -> Split:
    """Unknown images; those of the same table are drawn in the ID test's own styles."""
    if spec.source == "table":
        pool = whole(spec.table)
        chosen = list(range(len(pool.paths)))
    else:
        chosen = [
            i
            for i, row in enumerate(draw.table)
            if row.style in fold.id
            and (
                getattr(row, draw.by) in draw.unknown if spec.source == "unknown-classes" else row.group in spec.groups
            )
        ]
    if not chosen:
        raise DataError(f"semantic split '{spec.name}' has no image.", "`croftbench check`")
    return Split(spec.name, pool, tuple(chosen), (UNKNOWN,) * len(chosen), (0,) * len(chosen))


def whole(table: str) -> Pool:
    """A whole table as one pool, so that every suite and seed shares its features."""
    return Pool(table, table, tuple(row.path for row in rows(table)), manifest.table(table).sha256)


def subset(split: Split) -> Pool:
    """The pool of a split's own images, in the split's order: what training views are encoded from."""
    paths = tuple(split.pool.paths[i] for i in split.rows)
    return Pool(f"{split.pool.name}/{split.name}", split.pool.table, paths, split.pool.content)
