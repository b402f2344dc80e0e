"""Runs that failed: why, in one JSON each beside the runs and never among them, until they succeed. No torch."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from croftbench import mirrors
from croftbench.errors import CroftbenchError, DataError
from croftbench.files import write_atomically
from croftbench.runs import results
from croftbench.runs.spec import RunSpec

FOLDER = "failed"
Stage = Literal["run", "score"]
"""What failed: a run, or scores beyond its suite's of a run that is finished."""


def path_of(folder: Path, spec: RunSpec, stage: Stage = "run") -> Path:
    """Where a failure is recorded, if there is one."""
    path = folder / FOLDER / results.file_of(spec)
    return path if stage == "run" else path.with_name(f"{path.stem}-scores.json")


def write(folder: Path, spec: RunSpec, error: CroftbenchError, stage: Stage = "run") -> Path:
    """Record why a run failed, in place of an earlier reason.

    Raises:
        DataError: it cannot be written; why the run failed is in the message, or nobody would learn it.
    """
    record = {
        "failed": stage,
        "spec": asdict(spec),
        "message": error.message,
        "hint": error.hint,
        "where": getattr(error, "where", ""),
        "traceback": "".join(traceback.format_exception(error)).splitlines(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = path_of(folder, spec, stage)
    try:
        write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n", "--results")
    except DataError as unwritable:
        raise DataError(f"{error.message} That cannot be recorded: {unwritable.message}", unwritable.hint) from error
    return path


def reason(folder: Path, spec: RunSpec) -> str:
    """Why a run failed the last time; "" where it did not, or nothing readable says."""
    try:
        return str(json.loads(path_of(folder, spec).read_bytes())["message"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def remove(folder: Path, spec: RunSpec, stage: Stage = "run") -> None:
    """It succeeded."""
    path = path_of(folder, spec, stage)
    with suppress(OSError, DataError):  # where there is another reason beside it, its folder stays
        if path.is_file():
            mirrors.remove(path)
        path.unlink()
        for empty in (path.parent, path.parent.parent, path.parent.parent.parent):
            empty.rmdir()
