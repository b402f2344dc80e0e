"""What is drawn: splits of a pool, each in one role, and the fold that holds them all. No I/O, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from croftbench.data.pool import Pool

Shift = Literal["id", "covariate", "semantic", "reference", "named"]
"""What a test split is: known classes as trained or in a new manner; unknown classes; positives of detection that are
neither of the first two; unknown classes under their own names."""

UNKNOWN = -1
"""Label of an image whose class the classifier does not know."""


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

    @property
    def images(self) -> tuple[str, ...]:
        """Which image each row is: "table/path"."""
        return tuple(f"{self.pool.table}/{self.pool.paths[row]}" for row in self.rows)

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
        candidates: of a shipped table, all images that any seed and fold of the suite may train on: their views are
            encoded once for all, in place of `train`'s own for each. Labels say nothing.
        sources: split id -> what it is on this disk (layout, digest, images, state, bytes), for a run's record.
        namesakes: how many images of `semantic` have a known class's name (see `namesakes.Counts`).
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
    candidates: Split | None = None
    sources: Mapping[str, Mapping[str, str | int]] = field(default_factory=dict)
    namesakes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def viewed(self) -> Split:
        """The images whose views are encoded together, those of `train` among them."""
        return self.candidates or self.train

    @property
    def score_bank(self) -> Split:
        """The training images that scores compare with."""
        return self.bank or self.train

    @property
    def tests(self) -> list[tuple[Shift, Split]]:
        """Every split that a classifier of the known classes is tested on, in the order of a run's tables."""
        roles: list[tuple[Shift, Split]] = [("id", self.id)]
        roles += [("covariate", split) for split in self.covariate]
        roles += [("semantic", split) for split in self.semantic]
        if self.reference is not None:
            roles.append(("reference", self.reference))
        return roles
