"""Unknown images whose class has a known class's name: no method that reads names can tell the two apart.

ImageNet calls two classes "missile" and two "sunglasses". Where a seed knows one of a pair, images of the other are
among the unknown ones under the very prompt of a known class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from croftbench.classnames import comparable
from croftbench.data.roots import Roots
from croftbench.draw.classes import Classes
from croftbench.draw.gather import Gatherer, Images, Ints
from croftbench.draw.roles import Labels
from croftbench.draw.splits import UNKNOWN
from croftbench.suites.language import FoldSpec, SemanticSpec, Suite
from croftbench.suites.shelves import Where

__all__ = ["Counts", "among", "published", "told"]

Counts = Mapping[str, Mapping[str, int]]
"""Semantic split -> name that a known class has too -> images; splits without any are left out."""


def among(suite: Suite, classes: Classes, chosen: Callable[[SemanticSpec], tuple[Images, Ints]]) -> Counts:
    """Those among the images that a fold's semantic splits hold."""
    known, draw = _known(classes), suite.classes
    counts = {}
    for spec in suite.semantic:
        images, rows = chosen(spec)
        if images.table and draw.by != "class":
            keys = Counter(draw.of(images.table[row] for row in rows))
            named = ((classes.names.get(key, key), count) for key, count in keys.items())
        else:
            labels = Counter(images.labels[rows].tolist())
            named = ((images.family.classnames[label], count) for label, count in labels.items() if label >= 0)
        counts[spec.name] = _summed(named, known)
    return {name: of for name, of in counts.items() if of}


def published(suite: Suite, spec: FoldSpec, seed: int, manifests: Where = None) -> Counts:
    """Those among the unknown classes of a seed by published numbers of images, for suites whose classes are listed.

    A split's limits are not counted. Whole splits as open sets have none: a rule of suites says so.
    """
    labels = Labels(suite, spec, seed, Gatherer(Roots(manifests=manifests)))
    known, counts = _known(labels.classes), {}
    for semantic in (one for one in suite.semantic if one.source == "unknown-classes"):
        splits = semantic.within(spec)
        counts[semantic.name] = _summed(_unknown(labels, splits, semantic), known)
    return {name: of for name, of in counts.items() if of}


def told(counts: Sequence[Counts]) -> list[str]:
    """A line for each semantic split that has any, from the counts of each fold of each seed."""
    lines = []
    for split in dict.fromkeys(split for one in counts for split in one):
        sums = [sum(one.get(split, {}).values()) for one in counts]
        names = ", ".join(sorted({name for one in counts for name in one.get(split, {})}))
        number = f"{min(sums):,} to {max(sums):,}" if min(sums) < max(sums) else f"{max(sums):,}"
        lines.append(f"{number} images of {split} are of an unknown class with a known class's name ({names})")
    return lines


def _unknown(labels: Labels, splits: Iterable[str], semantic: SemanticSpec) -> Iterable[tuple[str, int]]:
    """Name and published number of images of each unknown class of some splits."""
    for split in splits:
        family, part_name = labels.resolve(split)
        part, meaning = family.part(part_name), labels.classes.labels_of(family)
        counts = part.counts or (part.images // max(1, len(part.members)),) * len(part.members)
        for member, count in zip(part.members, counts, strict=True):
            if meaning[member] == UNKNOWN and family.ids[member] not in semantic.exclude:
                yield family.classnames[member], count


def _known(classes: Classes) -> set[str]:
    return {comparable(name) for name in classes.named(classes.known)}


def _summed(named: Iterable[tuple[str, int]], known: set[str]) -> dict[str, int]:
    """Images by name, of names that are known."""
    sums: Counter[str] = Counter()
    for name, count in named:
        if comparable(name) in known:
            sums[name] += count
    return dict(sorted(sums.items()))
