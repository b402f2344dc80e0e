"""Sections of the page, made side by side: each of the later ones in a process of its own, where there are processors.

A section takes seconds, most of them drawing, and no two share anything; its HTML is all that comes back. What fails
there fails here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from croftbench import child
from croftbench.data.roots import Roots
from croftbench.report import made_before
from croftbench.report.made_before import Kept, Section
from croftbench.suites.language import Suite

Asked = tuple[Path, Suite, Path | None, Roots | None, int]
"""Results folder, suite, cache, where images are, and which section of the page it is."""


def sections(
    results_dir: Path, suites: Sequence[Suite], cache: Path | None = None, roots: Roots | None = None,
    older: Sequence[Path] = (), processors: int | None = None,
) -> list[Section]:  # fmt: skip
    """Each suite's section of the page, in order. What is the same in `older` pages, or was kept, is not made again.

    Raises:
        DataError: see `tables.leaderboard`.
    """
    keys = [made_before.key(results_dir, suite, roots, number) for number, suite in enumerate(suites)]
    kept = Kept(cache, made_before.of_pages(older))
    known = [kept.read(key, suite.name) for key, suite in zip(keys, suites, strict=True)]
    asked = [(results_dir, suite, cache, roots, number) for number, suite in enumerate(suites) if known[number] is None]
    made = iter(_side_by_side(asked, processors or os.cpu_count() or 1))
    for number, suite in enumerate(suites):
        if known[number] is None:
            known[number] = section = Section(keys[number], suite.name, next(made))
            kept.write(section)
    return [section for section in known if section]


def _side_by_side(asked: Sequence[Asked], processors: int) -> list[str]:
    others = min(processors, len(asked)) - 1
    if others < 1:
        return [_section(one) for one in asked]
    with ThreadPoolExecutor(others) as threads:  # each waits for a process
        later = [threads.submit(_elsewhere, one) for one in asked[1:]]
        return [_section(asked[0]), *(one.result() for one in later)]


def _section(asked: Asked) -> str:
    from croftbench.report import published, rows, section, tables, templates

    results_dir, suite, cache, roots, number = asked
    elsewhere = [row for row in published.read_all(results_dir) if not row.head.weights_digest]  # ours stand above
    with rows.no_garbage():
        board = tables.leaderboard(results_dir, suite, cache=cache)
        shown = section.section(board, elsewhere, number, roots, cache)
        return templates.render("section.html", section=shown)


def _elsewhere(asked: Asked) -> str:
    """The same, by another process; here, if that one could not do it."""
    try:
        return child.call(_section, asked)
    except child.DiedError:
        return _section(asked)
