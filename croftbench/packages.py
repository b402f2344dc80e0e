"""What installed packages declare for croftbench."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group.

    Most often there are none, as a look at the records that `importlib.metadata` would read tells at once. It is not
    imported then: with the e-mail package, which it reads records with, it takes as long as Click.
    """
    if not any(_declares(Path(folder), group.encode()) for folder in sys.path):
        return ()
    from importlib import metadata

    return metadata.entry_points(group=group)


def _declares(folder: Path, group: bytes) -> bool:
    """Whether a package of this folder may have entry points of the group; a file may be an archive of packages."""
    if not folder.is_dir():
        return folder.exists()
    for record in folder.glob("*-[Ii][Nn][Ff][Oo]/entry_points.txt"):  # .dist-info, .egg-info and EGG-INFO
        try:
            if group in record.read_bytes():
                return True
        except OSError:  # it cannot be read by others either
            continue
    return False
