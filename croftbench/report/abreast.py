"""Sections of the page, made side by side: each of the later ones in a process of its own, where there are processors.

A section takes seconds, most of them drawing, and no two share anything; its HTML is all that comes back. What fails
there fails here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from markupsafe import Markup

from croftbench import child
from croftbench.data.roots import Roots
from croftbench.files import recall, remember
from croftbench.report import made_before
from croftbench.suites.language import Suite

Asked = tuple[Path, Suite, Path | None, Roots | None, int]
"""Results folder, suite, cache, where images are, and which section of the page it is."""


def sections(
    results_dir: Path, suites: Sequence[Suite], cache: Path | None = None, roots: Roots | None = None,
    processors: int | None = None,
) -> list[dict[str, str]]:  # fmt: skip
    """Each suite's section of the page, in order: what it is called, and its HTML.

    Raises:
        DataError: see `tables.leaderboard`.
    """
    places = [made_before.place(cache, results_dir, suite, roots, number) for number, suite in enumerate(suites)]
    known = [recall(place) if place else None for place in places]
    asked = [(results_dir, suite, cache, roots, number) for number, suite in enumerate(suites) if known[number] is None]
    made = iter(_side_by_side(asked, processors or os.cpu_count() or 1))
    return [
        _kept(place, next(made)) if there is None else _html(there) for place, there in zip(places, known, strict=True)
    ]


def _side_by_side(asked: Sequence[Asked], processors: int) -> list[dict[str, str]]:
    others = min(processors, len(asked)) - 1
    if others < 1:
        return [_section(one) for one in asked]
    with ThreadPoolExecutor(others) as threads:  # each waits for a process
        later = [threads.submit(_elsewhere, one) for one in asked[1:]]
        return [_section(asked[0]), *(one.result() for one in later)]


def _html(kept: dict[str, str]) -> dict[str, str]:
    return kept | {"html": Markup(kept["html"])}  # rendered, and so escaped, before it was kept under a seal


def _kept(place: Path | None, made: dict[str, str]) -> dict[str, str]:
    if place:
        remember(place, made)
    return made


def _section(asked: Asked) -> dict[str, str]:
    from croftbench.report import published, rows, section, tables, templates

    results_dir, suite, cache, roots, number = asked
    elsewhere = [row for row in published.read_all(results_dir) if not row.head.weights_digest]  # ours stand above
    with rows.no_garbage():
        board = tables.leaderboard(results_dir, suite, cache=cache)
        shown = section.section(board, elsewhere, number, roots, cache)
        html = templates.render("section.html", section=shown)
    return {"id": shown["id"], "name": shown["name"], "html": html}


def _elsewhere(asked: Asked) -> dict[str, str]:
    """The same, by another process; here, if that one could not do it."""
    try:
        return child.call(_section, asked)
    except child.DiedError:
        return _section(asked)
