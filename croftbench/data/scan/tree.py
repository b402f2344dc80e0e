"""The names under a data root: each folder read once, without asking for a single file's status. Nothing is written."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Protocol


class DirEntry(Protocol):
    """What is read of a directory entry: an `os.DirEntry`, or a stand-in for one."""

    @property
    def name(self) -> str: ...

    def is_dir(self) -> bool: ...

    def is_symlink(self) -> bool: ...


CLUTTER = frozenset(
    [
        "__macosx",
        "@eadir",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__pycache__",
    ]
)
"""Folders that archivers, file systems and tools leave behind, in lower case; hidden names are such too."""

LOOKED = 3000
"""Folders that are looked into for a data set that is not where its manifest says."""

FEW = 20
"""Files that may lie beside folders which lead to images: readmes, lists, annotations."""

Scan = Callable[[str], AbstractContextManager[Iterator[DirEntry]]]


@dataclass(frozen=True)
class Names:
    """A folder's content, sorted: `os.listdir`'s order differs from machine to machine."""

    folders: tuple[str, ...]
    files: tuple[str, ...]


NOTHING = Names((), ())


class Tree:
    """A data root. Folders are named by their path below it, with "/" between and "" for the root itself.

    Args:
        root: the folder.
        scan: `os.scandir`, or what reads another listing.
    """

    def __init__(self, root: Path, scan: Scan = os.scandir) -> None:
        self.root = root
        self._scan = scan
        self._names: dict[str, Names] = {}

    def names(self, folder: str) -> Names:
        """What is in a folder; nothing where there is none.

        Raises:
            OSError: it is there and cannot be read.
        """
        if folder not in self._names:
            self._names[folder] = self._read(folder)
        return self._names[folder]

    def _read(self, folder: str) -> Names:
        path = f"{self.root}/{folder}" if folder else str(self.root)
        folders, files = [], []
        try:
            with self._scan(path) as entries:
                for entry in entries:
                    if not entry.is_dir():
                        files.append(entry.name)
                    elif not entry.is_symlink() or not self._climbs(path, entry.name):
                        folders.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return NOTHING
        return Names(tuple(sorted(folders, key=_numerically)), tuple(sorted(files)))

    def _climbs(self, folder: str, name: str) -> bool:
        """Whether a link leads to a folder that it was reached through, so that following it would never end."""
        target = os.path.realpath(f"{folder}/{name}").rstrip("/") + "/"
        while True:  # each step on the way here, as two links may lead to each other
            if (os.path.realpath(folder) + "/").startswith(target):
                return True
            if len(folder) <= len(str(self.root)):
                return False
            folder = folder.rpartition("/")[0]

    def is_folder(self, folder: str) -> bool:
        parent, _, name = folder.rpartition("/")
        return not folder or name in self.names(parent).folders

    def is_file(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        return name in self.names(parent).files

    def match(self, pattern: str, within: str = "") -> list[str]:
        """Folders that a relative pattern means below the folder `within`, see `_fitting`."""
        folders = [within]
        for part in _steps(pattern):
            folders = [join(folder, name) for folder in folders for name in _fitting(self.names(folder).folders, part)]
        return folders

    def match_files(self, pattern: str, within: str = "") -> list[str]:
        """Files that a relative pattern means below the folder `within`; ".." leads up, but not out of the root."""
        *steps, last = _steps(pattern)
        while steps and steps[0] == "..":
            if not within:
                return []
            within, steps = within.rpartition("/")[0], steps[1:]
        folders = self.match("/".join(steps), within)
        return [join(folder, name) for folder in folders for name in _fitting(self.names(folder).files, last)]

    def walk(self, folder: str) -> Iterator[tuple[str, Names]]:
        """A folder and all below it, in order, with what is in each; clutter is left out."""
        names = self.names(folder)
        yield folder, names
        for name in names.folders:
            if not is_clutter(name):
                yield from self.walk(join(folder, name))

    def shallow(self, folder: str = "", limit: int = LOOKED) -> Iterator[tuple[str, Names]]:
        """A folder and what is below it, nearest first: so many folders at most, without clutter.

        Folders that cannot be read are passed over, and what is below a folder of images is not looked at.
        """
        waiting = deque([folder])
        while waiting and limit:
            folder, limit = waiting.popleft(), limit - 1
            try:
                names = self.names(folder)
            except OSError:
                continue
            yield folder, names
            if len(names.files) <= len(names.folders) + FEW:
                waiting.extend(join(folder, name) for name in names.folders if not is_clutter(name))

    @cached_property
    def near_top(self) -> dict[str, list[str]]:
        """The folders that `shallow` leads to from the root, by the last step of their path, see `letters`."""
        named: dict[str, list[str]] = {}
        for folder, _ in self.shallow():
            named.setdefault(letters(folder.rpartition("/")[2]), []).append(folder)
        return named


def is_clutter(name: str) -> bool:
    """Whether no data set means a folder or file of that name: hidden ones, and what tools leave behind."""
    return name.startswith(".") or name.casefold() in CLUTTER


def letters(name: str) -> str:
    """A name without case and punctuation: Oxford_Pets and oxford-pets are one."""
    return re.sub(r"[\W_]+", "", name.casefold())


def join(folder: str, name: str) -> str:
    """`folder/name`, where the folder may be the root, ""."""
    return f"{folder}/{name}" if folder else name


def _steps(pattern: str) -> list[str]:
    return [step for step in pattern.split("/") if step not in ("", ".")]


def _fitting(names: tuple[str, ...], pattern: str) -> list[str]:
    """The names that a step means: itself, or those that fit where it holds "*" or "?", or the one of other case."""
    if pattern in names:
        return [pattern]
    if "*" in pattern or "?" in pattern:  # as in a shell, hidden names are not meant
        return [name for name in names if fnmatchcase(name, pattern) and not name.startswith(".")]
    return [name for name in names if name.casefold() == pattern.casefold()]


def _numerically(name: str) -> tuple[int, str]:
    """Whole numbers first, by value: folder 10 comes after folder 9."""
    return (int(name), name) if name.isascii() and name.isdigit() else (1 << 62, name)
