"""Folds to choose hyper-parameters on, made of training images alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from croftbench.errors import DataError
from croftbench.specs import Fold

HELD_OUT = 0.25
"""Share of the known classes that a tuning fold treats as unknown."""


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
            replace(
                fold,
                name=f"{fold.name}/without {domain}",
                classnames=tuple(fold.classnames[i] for i in known),
                train=train.keep(inside, labels, "train"),
                val=None,
                id=train.keep(old, labels, domain),
                covariate=(train.keep(old, labels, domain),),
                semantic=(train.keep(new, labels, "near"),),
                reference=None,
                named=(),
                bank=None,
            )
        )
    return found
