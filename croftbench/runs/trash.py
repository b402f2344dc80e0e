"""Runs that are no longer wanted: moved, whole, into a folder from which they can be moved back. No torch."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from croftbench import mirrors
from croftbench.errors import DataError, UsageError
from croftbench.runs.failures import FOLDER as FAILED

TRASH = "trash"
ROOMS = ("runs", "posthoc", FAILED)
"""Folders of a run's files, below that of results."""


def find(results: Path, names: Iterable[str], suite: str | None = None) -> list[Path]:
    """Every file of some runs: by method, or by a run's id or its first digits (four at least).

    They are not read: a damaged run can be removed, too.

    Raises:
        UsageError: a name of no run, or digits of several.
    """
    found: dict[Path, None] = {}
    for name in names:
        for part in (name, suite or "any"):
            if part in ("", ".", "..") or Path(part).name != part:  # it would lead out of the folder
                raise UsageError(f"'{part}' names no method, run or suite.", "`croftbench leaderboard` shows names.")
        of = f"{glob.escape(suite) if suite else '*'}"
        files = [path for room in ROOMS for path in sorted((results / room).glob(f"{of}/{glob.escape(name)}/*"))]
        if not files and re.fullmatch(r"[0-9a-f]{4,12}", name):
            files = [path for room in ROOMS for path in sorted((results / room).glob(f"{of}/*/{name}*"))]
            if len({path.stem[:12] for path in files}) > 1:
                raise UsageError(f"several runs begin with '{name}' in {results}.", "Give more digits.")
        if not files:
            what = f"no run{f' of {suite}' if suite else ''} in {results} is of a method, or has an id, '{name}'."
            raise UsageError(what, "`croftbench leaderboard` shows names.")
        found |= dict.fromkeys(path for path in files if path.is_file())
    return list(found)


def move(results: Path, files: Sequence[Path]) -> Path:
    """Move files of runs into a new folder of the trash, each under the path that it had; that folder.

    Raises:
        DataError: one cannot be moved; those before it are moved.
    """
    folder = results / TRASH / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    for path in sorted(files, key=lambda path: path.suffix != ".json"):  # a run without its JSON is not finished
        target = folder / path.relative_to(results)
        mirrors.move(path, target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise DataError(f"cannot move {path}: {error.strerror}.", f"What was moved is in {folder}.") from error
    return folder
