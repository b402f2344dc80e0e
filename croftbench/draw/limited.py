"""A fold of few images: what a smoke run and the check of a method take, to be quick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from croftbench.draw.gather import own_pool
from croftbench.draw.splits import Fold, Split


def limited(fold: Fold, images: int) -> Fold:
    """The fold with so many images a split, evenly from it, in pools of their own; classes in turn, none left out."""

    def cut(split: Split) -> Split:
        return own_pool(_positions(split, max(images, len(fold.classnames)) if split is fold.train else images))

    return replace(
        fold,
        train=cut(fold.train) if len(fold.train) else fold.train,
        val=None if fold.val is None else cut(fold.val),
        id=cut(fold.id),
        covariate=tuple(map(cut, fold.covariate)),
        semantic=tuple(map(cut, fold.semantic)),
        reference=None if fold.reference is None else cut(fold.reference),
        named=tuple(replace(one, split=cut(one.split)) for one in fold.named),
        bank=None if fold.bank is None else cut(fold.bank),
        candidates=None,
    )


def _positions(split: Split, images: int) -> Split:
    """The first image of every class, then the second of every one, and so on until there are enough, in order."""
    if len(split) <= images:
        return split
    seen: dict[int, int] = {}
    turn = []
    for label in split.labels:
        turn.append(seen.get(label, 0))
        seen[label] = turn[-1] + 1
    if len(seen) == 1:  # unknown classes are not told apart: evenly
        chosen = np.linspace(0, len(split) - 1, images).round().astype(int)
    else:
        chosen = np.sort(np.argsort(turn, kind="stable")[:images])
    pick = [int(i) for i in chosen]
    return replace(
        split,
        rows=tuple(split.rows[i] for i in pick),
        labels=tuple(split.labels[i] for i in pick),
        domains=tuple(split.domains[i] for i in pick),
    )
