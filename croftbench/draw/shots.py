"""Which images a seed draws: few-shot samples and limited pools. Positions in, positions out; no file is looked at.

Streams are frozen for good (NumPy's legacy RandomState, the standard library's Random), so a seed means the same
images on every machine and in every year.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


def by_value(values: npt.ArrayLike) -> dict[int, Positions]:
    """Value -> positions that hold it, ascending; the keys in order of first appearance."""
    array = np.asarray(values)
    order = np.argsort(array, kind="stable")
    distinct, starts = np.unique(array[order], return_index=True)
    groups = dict(zip(distinct.tolist(), np.split(order, starts[1:]), strict=True)) if len(array) else {}
    return dict(sorted(groups.items(), key=lambda item: int(item[1][0])))


def even(by_domain: Sequence[Sequence[int]], shots: int, stream: np.random.RandomState) -> list[tuple[int, int]]:
    """(domain, position) of up to `shots` images of one class, as evenly over the domains as they allow."""
    queues = [[rows[i] for i in stream.permutation(len(rows))] for rows in by_domain]
    order = stream.permutation(len(queues)).tolist()
    picked: list[tuple[int, int]] = []
    while len(picked) < shots and any(queues):
        for domain in order:
            if queues[domain] and len(picked) < shots:
                picked.append((domain, queues[domain].pop()))
    return sorted(picked)


def per_class(labels: npt.ArrayLike, shots: int, stream: random.Random) -> list[int]:
    """`shots` images of each class, all of a smaller one, as CoOp draws them: classes by first appearance."""
    picked: list[int] = []
    for rows in by_value(labels).values():
        group = rows.tolist()
        picked += stream.sample(group, shots) if len(group) >= shots else group
    return picked


def per_domain(labels: npt.ArrayLike, domains: npt.ArrayLike, shots: int, stream: random.Random) -> list[int]:
    """What CRoFT's code calls balanced: for each class with enough images, shots / domains images of any class from
    each domain, so an image may be drawn twice; a smaller class is taken whole.
    """
    groups = [rows.tolist() for rows in by_value(domains).values()]
    picked: list[int] = []
    for rows in by_value(labels).values():
        if len(rows) < shots:
            picked += rows.tolist()
            continue
        for group in groups:
            picked += stream.sample(group, min(shots // len(groups), len(group)))
    return picked


def limited(labels: npt.ArrayLike, per_class: int, total: int, stream: np.random.RandomState) -> Positions:
    """At most `per_class` positions of each label and `total` in all, ascending; 0: no limit."""
    kept = np.arange(len(np.asarray(labels)), dtype=np.int64)
    if per_class:
        parts = [rows[stream.permutation(len(rows))[:per_class]] for _, rows in sorted(by_value(labels).items())]
        kept = np.sort(np.concatenate(parts)) if parts else kept
    if total and len(kept) > total:
        kept = np.sort(kept[stream.permutation(len(kept))[:total]])
    return kept
