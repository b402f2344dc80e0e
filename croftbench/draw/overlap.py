"""No image of a fold both trains and tests, whatever the lists on the disk say."""

from __future__ import annotations

from collections.abc import Iterator

from croftbench.draw.splits import Fold, Split
from croftbench.errors import DataError
from croftbench.suites.language import Suite


def check(fold: Fold, suite: Suite) -> None:
    """Compare what trains or validates with what is tested; official suites may validate on test images.

    Raises:
        DataError: an image is in both; the message names it.
    """
    seen = [fold.train, *([] if fold.bank is None else [fold.bank])]
    if fold.val is not None and not (suite.val and suite.val.source == "test"):
        seen.append(fold.val)
    used = [(one, frozenset(_paths(one))) for one in seen]
    for _, test in fold.tests:
        if test is fold.reference:  # images of other roles
            continue
        for one, paths in used:
            both = sorted(paths.intersection(_paths(test))) if one.pool.table == test.pool.table else []
            if both:
                where = f"suite '{suite.name}', fold '{fold.name}'"
                raise DataError(
                    f"{where}: {len(both):,} images of '{test.name}' are in '{one.name}' too, {both[0]} first.",
                    "`croftbench data verify NAME` says which lists have an image twice.",
                )


def _paths(split: Split) -> Iterator[str]:
    return (split.pool.paths[row] for row in split.rows)
