"""Somebody's own images: what a folder holds, and a suite over it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.errors import UsageError
from croftbench.files import write_atomically

if TYPE_CHECKING:
    from croftbench.data.cast import Cast


@dataclass(frozen=True)
class NewSuite:
    """A suite over a folder.

    Attributes:
        path: its file.
        said: what was seen and decided, a line each.
        text: the file.
        next: the command that runs it.
    """

    path: Path
    said: tuple[str, ...]
    text: str
    next: str


def describe_folder(
    folder: str | Path,
    *,
    name: str = "",
    unknown: Sequence[str] = (),
    shifts: Mapping[str, str | Path] | None = None,
    train: bool | None = None,
) -> Cast:
    """What a folder of images holds, and which role each part of it would play; nothing is written.

    Args:
        folder: class folders, such folders below splits or domains, a list of path and label, Parquet or WebDataset
            shards; or "hf://datasets/owner/name", which is fetched into the hub's cache where it is not there.
        name: of the suite; the folder's own where empty.
        unknown: classes that training shall not see, or folders of unknown images.
        shifts: name -> folder of known classes in a new manner.
        train: False for a suite without training images, on which only methods that learn nothing run; True to share
            images out even where their folder says that they test; None for what the folders say.

    Raises:
        UsageError: a name of `unknown` or `shifts` is nothing that is there.
        DataError: no images, or nothing says what they show.
    """
    from croftbench.data import casting, looking, snapshots

    said = str(folder)
    if said.startswith(snapshots.HUB):
        where = snapshots.local(said) or snapshots.fetch(said)
        called, root = snapshots.repository(said)[0].rpartition("/")[2], said
    else:
        where = Path(said).expanduser().resolve()
        called, root = where.stem if where.is_file() else where.name, ""
    called = re.sub(r"[^\w+-]+", "-", name or called).strip("-") or "images"
    found = looking.look(where)
    return casting.cast(found, called, root or str(found.root), list(unknown), shifts or {}, train)


def new_suite(
    folder: str | Path,
    path: str | Path | None = None,
    *,
    unknown: Sequence[str] = (),
    shifts: Mapping[str, str | Path] | None = None,
    train: bool | None = None,
    force: bool = False,
) -> NewSuite:
    """Write a suite over a folder, ready for `run(..., suite=path)`.

    Args:
        folder, unknown, shifts, train: as for `describe_folder`.
        path: the new file, "NAME.toml"; called after the folder, in the current one, where None.
        force: replace a file that is there.

    Raises:
        UsageError: the file is there already, or is no ".toml"; and what `describe_folder` raises.
    """
    from croftbench.data.draft import to_toml

    if path is not None and Path(path).suffix != ".toml":
        raise UsageError(f"{path} does not end in .toml.", "A suite's file is called NAME.toml.")
    made = describe_folder(folder, name=Path(path).stem if path else "", unknown=unknown, shifts=shifts, train=train)
    target = Path(path) if path else Path(f"{made.name}.toml")
    if path and target.stem != made.name:
        raise UsageError(f"'{target.stem}' is no name of letters, digits, '_' and '-'.", "Call the file otherwise.")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already.", "Name another file with --output, or replace it with --force.")
    text = to_toml(made)
    write_atomically(target, text, "--output")
    return NewSuite(target, made.said, text, f"{made.next} {target}")
