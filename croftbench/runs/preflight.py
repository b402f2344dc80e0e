"""What is checked before anything costs time: that what is made can be written, and that images are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench import mirrors
from croftbench.errors import CroftbenchError
from croftbench.files import check_writable
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

ROOM = 20_000_000
"""Bytes that must be free in either folder: less is a disk that is full, whatever is planned."""


def folders(results: Path, cache: Path) -> None:
    """Fail unless results and cached features can be written; a cache that has features may be read-only.

    Raises:
        DataError: they cannot; the message names the folder.
    """
    check_writable(results, "--results", ROOM)
    if not (cache / "features").is_dir():
        check_writable(cache, "--cache", ROOM)
    for folder in (results, cache):
        mirrors.check(folder)


def ready(
    bench: Workbench,
    jobs: Sequence[Job],
    failed: Callable[[Job, CroftbenchError], None],
    complain: Callable[[str, str], None],
) -> list[Job]:
    """The jobs whose images are there. What is missing is said once for all jobs that lack it; each is handed to
    `failed`.
    """
    wanting: dict[tuple[str, bool], list[Job]] = {}
    for job in jobs:
        wanting.setdefault((job.spec.fold, job.info.train), []).append(job)
    lacking: dict[tuple[str, str], list[Job]] = {}
    for group in wanting.values():
        try:
            bench.fold_of(group[0].spec, group[0].info)
        except CroftbenchError as error:
            lacking.setdefault((error.message, error.hint), []).extend(group)
            for job in group:
                failed(job, error)
    for (message, hint), group in lacking.items():
        names = ", ".join(dict.fromkeys(job.spec.method for job in group))
        complain(f"{len(group)} of {len(jobs)} runs ({names}) cannot start: {message}", hint)
    gone = {id(job) for group in lacking.values() for job in group}
    return [job for job in jobs if id(job) not in gone]
