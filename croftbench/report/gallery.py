"""Which pictures are hard: wrong for most methods, telling methods apart, or unknown and yet accepted; and for whom.

A picture counts for a method as it does in most of the method's runs that test it. Pictures are shown where they ship
with croftbench, whose licences allow it; of others only the name is.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from croftbench import draw
from croftbench.data.roots import Roots
from croftbench.draw.splits import Fold, Split
from croftbench.errors import CroftbenchError, DataError
from croftbench.report.board_rows import BoardRow
from croftbench.runs.per_image import SplitTable
from croftbench.stats import metrics
from croftbench.suites import registry
from croftbench.suites.language import Suite

SHOWN = 12
"""Pictures a group."""
SIDE = 64
"""Pixels of a thumbnail's longer side."""
Place = tuple[str, str]
"""A split and one of its images."""


@dataclass(frozen=True)
class Plate:
    """One picture.

    Attributes:
        picture: a data URI, "" where it may not or cannot be shown.
        image: its name.
        truth: its class; "" for an unknown one.
        split: where it was tested.
        answer: the wrong class that it is given most often.
        count: for how many methods it is wrong, or accepted.
        methods: which these are, or those for which it is not, whichever is shorter; in words.
    """

    picture: str
    image: str
    truth: str
    split: str
    answer: str
    count: int
    methods: str


@dataclass(frozen=True)
class Gallery:
    """The groups of a suite with a title each, how many methods there are, and why there is nothing to see."""

    groups: tuple[tuple[str, str, tuple[Plate, ...]], ...] = ()
    methods: int = 0
    credit: str = ""
    absent: str = ""


class _Part(NamedTuple):
    """A split in one draw, N images, M methods: which were run, and for each image what they said.

    Attributes:
        names: of the classes.
        tested: (M,) which methods were run.
        wrong: (M, N) which images they had wrong.
        predicted: (M, N) what they answered; -1 where they were not run.
    """

    split: Split
    names: Sequence[str]
    tested: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    predicted: NDArray[np.int64]


@dataclass
class _Tally:
    """Of one kind of image: which methods had it wrong, draw by draw.

    Attributes:
        at: the number of each image, in the order in which it first appears.
        parts: each draw's, with the number of each of its images.
    """

    at: dict[Place, int] = field(default_factory=dict)
    parts: list[tuple[_Part, NDArray[np.int64]]] = field(default_factory=list)

    def add(self, part: _Part, images: Sequence[str]) -> None:
        places = ((part.split.name, image) for image in images)
        self.parts.append((part, np.array([self.at.setdefault(place, len(self.at)) for place in places], np.int64)))

    @cached_property
    def shares(self) -> dict[Place, NDArray[np.float64]]:
        """By image that every method was tested on: (M,) the share of each method's runs that had it wrong."""
        wrong, runs = np.zeros((2, len(self.at), len(self.parts[0][0].tested) if self.parts else 0))
        for part, rows in self.parts:
            wrong[rows] += part.wrong.T  # an image is in a split once
            runs[rows] += part.tested
        whole: NDArray[np.bool_] = np.asarray(runs.all(axis=1))
        places = [place for place, row in self.at.items() if whole[row]]
        return dict(zip(places, wrong[whole] / runs[whole], strict=True))

    def seen(self, place: Place) -> list[tuple[_Part, int]]:
        """The parts that an image is in, and its position there."""
        found = ((part, np.flatnonzero(rows == self.at[place])) for part, rows in self.parts)
        return [(part, int(position)) for part, positions in found for position in positions]

    def truth(self, place: Place) -> str:
        """The image's class, "" where it is unknown."""
        part, i = self.seen(place)[0]
        return part.names[part.split.labels[i]] if part.split.labels[i] >= 0 else ""

    def answer(self, place: Place) -> str:
        """The wrong class that it is given most often."""
        given: Counter[str] = Counter()
        for part, i in self.seen(place):
            own = part.predicted[:, i].tolist()
            given.update(part.names[label] for label in own if label >= 0 and label != part.split.labels[i])
        return min(given.items(), key=lambda one: (-one[1], one[0]), default=("", 0))[0]


def of(suite: Suite, rows: Sequence[BoardRow], roots: Roots | None = None) -> Gallery:
    """The gallery of a suite's ranked rows, all of which have per-image tables."""
    shown = [row for row in rows if row.values["ranked"] and row.tables]
    if len(shown) < 2:
        return Gallery(absent="It takes two ranked methods with per-image tables to compare pictures.")
    roots = (roots or Roots()).behind(suite)
    try:
        known, unknown = _tallies(suite, shown, roots)
        names = [row.name for row in shown]
        made = _groups(known, unknown, names, roots)
    except CroftbenchError as error:
        return Gallery(absent=f"No pictures: {error}")
    return Gallery(made, len(names), _credit(made, roots))


def _tallies(suite: Suite, rows: Sequence[BoardRow], roots: Roots) -> tuple[_Tally, _Tally]:
    """Of known and of unknown images."""
    known, unknown = _Tally(), _Tally()
    headline = suite.protocol.headline
    by_draw: dict[tuple[int, str], dict[int, dict[str, SplitTable]]] = {}
    for method, row in enumerate(rows):
        for run, tables in zip(row.runs, row.tables, strict=True):
            of_draw = by_draw.setdefault((run.spec.seed, run.spec.fold), {})
            of_draw[method] = {table.name: table for table in tables}
    folds: dict[int, dict[str, Fold]] = {}
    for (seed, name), runs in by_draw.items():
        if seed not in folds:
            folds[seed] = {fold.name: fold for fold in draw.folds(suite, seed, roots=roots, train=False)}
        fold = folds[seed][name]
        thresholds = {
            method: float(
                metrics.threshold_at_tpr(next(t for t in tables.values() if t.shift == "id").scores[headline])
            )
            for method, tables in runs.items()
        }
        tested = np.array([method in runs for method in range(len(rows))])
        for shift, split in fold.tests:
            if shift not in ("id", "covariate", "semantic"):
                continue
            images, labels = split.images, np.array(split.labels)
            wrong = np.zeros((len(rows), len(split)), dtype=bool)
            predicted = np.full((len(rows), len(split)), -1, dtype=np.int64)
            for method, of_run in runs.items():
                table = of_run.get(split.name)
                if table is None or not _same(labels, images, table):
                    raise DataError(
                        "the images here are not those of the runs.", "`croftbench data status` lists them."
                    )
                predicted[method] = table.predicted
                wrong[method] = table.scores[headline] >= thresholds[method] if shift == "semantic" else ~table.correct
            of = unknown if shift == "semantic" else known
            of.add(_Part(split, fold.classnames, tested, wrong, predicted), images)
    return known, unknown


def _same(labels: NDArray[np.int64], images: Sequence[str], table: SplitTable) -> bool:
    """Whether a run's table is of the images that are drawn here; old tables do not name them."""
    return np.array_equal(labels, table.labels) and (not table.images or table.images == images)


def _groups(
    known: _Tally, unknown: _Tally, names: Sequence[str], roots: Roots
) -> tuple[tuple[str, str, tuple[Plate, ...]], ...]:
    kinds = (
        ("Wrong for most", "wrong for", known, np.mean),
        ("Telling methods apart", "wrong for", known, np.var),
        ("Unknown, and accepted by most", "accepted by", unknown, np.mean),
    )
    made = (
        (title, verb, tuple(_plate(place, tally, names, roots) for place in _chosen(tally, worth)))
        for title, verb, tally, worth in kinds
    )
    return tuple(group for group in made if group[2])


def _chosen(tally: _Tally, worth: Callable[..., Any]) -> list[Place]:
    """The first by worth; not more than two of a class and a third of a split, and no picture twice."""
    if not tally.shares:
        return []
    worths = dict(zip(tally.shares, worth(np.array(list(tally.shares.values())), axis=1).tolist(), strict=True))
    picked: list[Place] = []
    taken: Counter[str] = Counter()
    for place in sorted(worths, key=lambda place: (-worths[place], place)):
        if worths[place] <= 0 or len(picked) == SHOWN:
            break
        split, image = place
        of = (f"class {tally.truth(place)}", f"split {split}", image)
        limits = (2 if tally.truth(place) else SHOWN, SHOWN // 3, 1)
        if all(taken[name] < limit for name, limit in zip(of, limits, strict=True)):
            picked.append(place)
            taken.update(of)
    return picked


def _plate(place: Place, tally: _Tally, names: Sequence[str], roots: Roots) -> Plate:
    wrong = tally.shares[place] > 0.5
    of_it = [name for name, one in zip(names, wrong, strict=True) if one]
    others = [name for name, one in zip(names, wrong, strict=True) if not one]
    shorter = f"all but {'; '.join(others)}" if len(others) < len(of_it) else "; ".join(of_it)
    part, i = tally.seen(place)[0]
    return Plate(
        _thumbnail(part.split, i, roots), place[1], tally.truth(place), place[0], tally.answer(place),
        len(of_it), "all of them" if not others else shorter,
    )  # fmt: skip


def _ships(table: str, roots: Roots) -> bool:
    return any(layout.kind == "package" for layout in registry.family(table, roots.manifests).layouts)


def _thumbnail(split: Split, position: int, roots: Roots) -> str:
    """A small picture as a data URI."""
    from PIL import Image

    table = split.pool.table
    if not _ships(table, roots):
        return ""
    data = roots.reader(table)(split.pool.paths[split.rows[position]])
    file = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        small.save(file, "WEBP", quality=70, method=6)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _credit(groups: Iterable[tuple[str, str, tuple[Plate, ...]]], roots: Roots) -> str:
    """Whose pictures these are, and under which licence."""
    tables = dict.fromkeys(plate.image.partition("/")[0] for *_, plates in groups for plate in plates if plate.picture)
    families = [registry.family(table, roots.manifests) for table in tables]
    said = [f"{family.name}: {family.source.rstrip('.')} ({family.licence})" for family in families]
    return f"Pictures: {'; '.join(said)}." if said else ""
