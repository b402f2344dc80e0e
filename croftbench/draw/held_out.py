"""Folds to choose hyper-parameters on, made of training and validation images alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from croftbench.draw.splits import Fold, Split
from croftbench.errors import DataError

HELD_OUT = 0.25
"""Share of the known classes that a tuning fold treats as unknown."""


LEAST = 3
"""Known classes of which a quarter is one at least."""


def tuning_folds(fold: Fold, seed: int, val_by_domain: bool = False) -> list[Fold]:
    """Folds to choose hyper-parameters on, made of training and validation images alone.

    Each training domain is left out once as the covariate shift, and what is tested then are its validation images or,
    where it has none, its training images; where there is one domain only, validation images take its place, in one
    fold. A quarter of the known classes is left out as the near semantic shift. So both of a suite's questions are
    asked without an image of any test role.

    Args:
        fold: of a suite.
        seed: decides which classes are left out.
        val_by_domain: the validation images' domains are the training domains, as where they are a share of these.

    Raises:
        DataError: fewer known classes than `LEAST`; one training domain and no validation images.
    """
    if len(fold.classnames) < LEAST:
        raise DataError(
            f"fold '{fold.name}' has {len(fold.classnames)} known classes, and a search holds a quarter of them out.",
            f"It needs at least {LEAST}: choose by hand, with `--set name=value`.",
        )
    order = np.random.RandomState(seed).permutation(len(fold.classnames)).tolist()
    known = sorted(order[round(HELD_OUT * len(order)) :])
    labels = {old: new for new, old in enumerate(known)}
    train, count = fold.train, len(fold.domains)
    if count < 2 and fold.val is None:
        raise DataError(
            f"fold '{fold.name}' has one training domain and no validation images.", "Choose with --set, and say so."
        )
    if count < 2:
        return [_held_out(fold, known, train.keep(_of(train, labels), labels, "train"), fold.val or train, "val")]
    folds = []
    for left_out, domain in enumerate(fold.domains):
        inside = [i for i in _of(train, labels) if train.domains[i] != left_out]
        tested = [fold.val, train] if val_by_domain and fold.val else [train]
        outside = next(filter(len, (_in_domain(one, left_out, domain) for one in tested)))
        folds.append(_held_out(fold, known, train.keep(inside, labels, "train"), outside, domain))
    return folds


def _in_domain(split: Split, domain: int, name: str) -> Split:
    every = {label: label for label in split.labels}
    return split.keep([i for i, one in enumerate(split.domains) if one == domain], every, name)


def _held_out(fold: Fold, known: list[int], train: Split, outside: Split, name: str) -> Fold:
    """The fold that trains on `train` and is tested on `outside`, whose labels are the old ones."""
    labels = {old: new for new, old in enumerate(known)}
    old = outside.keep(_of(outside, labels), labels, name)
    new = outside.keep([i for i, y in enumerate(outside.labels) if y not in labels], labels, "near")
    return replace(
        fold,
        name=f"{fold.name}/without {name}",
        classnames=tuple(fold.classnames[i] for i in known),
        train=train,
        val=None,
        id=old,
        covariate=(old,),
        semantic=(new,),
        reference=None,
        named=(),
        bank=None,
    )


def _of(split: Split, labels: Mapping[int, int]) -> list[int]:
    """Positions of the images whose class is among `labels`."""
    return [i for i, y in enumerate(split.labels) if y in labels]
