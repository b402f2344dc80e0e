"""Runs by the names that tables give their rows, over all suites of a results folder."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from croftbench.errors import UsageError
from croftbench.report import naming, rows, typed
from croftbench.report.rows import Row
from croftbench.runs.results import RunResult
from croftbench.suites import manifest
from croftbench.suites.shelves import Where


def named(runs: Sequence[RunResult], asked: Sequence[str], manifests: Where, cache: Path) -> list[RunResult]:
    """The runs behind the rows of these names, in their order, of whatever suite and digest of it; see `typed.meant`.

    Raises:
        UsageError: a name without a row anywhere.
    """
    groups = _rows(runs, manifests, cache)
    chosen: set[str] = set()
    for name in asked:
        fitting: list[Row] = []
        for group in groups:
            with contextlib.suppress(UsageError):  # fine as long as another suite has it
                fitting += typed.meant(group, name)
        found = fitting or typed.meant([row for group in groups for row in group], name)
        chosen |= {run.spec.run_id for row in found for run in row.runs}
    return [run for run in runs if run.spec.run_id in chosen]


def _rows(runs: Sequence[RunResult], manifests: Where, cache: Path) -> list[list[Row]]:
    """The rows of each suite and digest, named as its own table names them."""
    by_suite: dict[tuple[str, str], list[RunResult]] = {}
    for run in runs:
        by_suite.setdefault((run.spec.suite, run.spec.suite_digest), []).append(run)
    known = set(manifest.names("suites", manifests))
    suites = {name: manifest.suite(name, manifests) if name in known else None for name, _ in by_suite}
    usual = {name: naming.usual(suite, cache) if suite else None for name, suite in suites.items()}
    return [rows.grouped(of, suites[name], usual[name]) for (name, _), of in by_suite.items()]
