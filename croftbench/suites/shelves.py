"""Where manifests lie: the user's own folders and files, the package, installed packages, and the results folder.

A folder of manifests holds suites/, splits/, lists/ and prompts/, or some of them. A suite's own file is a shelf too:
it may carry families (data sets) inline. Of two manifests with one name, the first counts, in the order above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from croftbench import texts
from croftbench.errors import ManifestError, UsageError, unknown
from croftbench.packages import entry_points

Kind = Literal["suites", "splits"]

GROUP = "croftbench.manifests"
"""Entry points of installed packages that bring manifests: the package, or module, whose folder holds them."""

INLINE = re.compile(r"^\s*\[\[\s*families\s*\]\]|^\s*families\s*=", re.MULTILINE)


@dataclass(frozen=True)
class Shelves:
    """A user's own manifests; the package's, and those of installed packages, always come with them.

    Attributes:
        own: folders of manifests and suites' files, the first counting first.
        kept: a folder with the suites/ that were run from files, looked at last; or None.
        stamps: what changes with any file in these, so that nothing read before is taken for what is there now.
    """

    own: tuple[Path, ...] = ()
    kept: Path | None = None
    stamps: tuple[tuple[str, int, int], ...] = ()

    @classmethod
    def of(cls, own: tuple[Path, ...], kept: Path | None = None) -> Shelves:
        """The shelves as they are now."""
        files = (file for one in (*own, *([kept] if kept else ())) for file in _files(one))
        states = ((str(file), file.stat()) for file in files)
        return cls(own, kept, tuple((name, state.st_mtime_ns, state.st_size) for name, state in states))


Where = Path | Shelves | None
"""Shelves, or one folder or file before the package's own; None for the package's and what is installed."""


def behind(file: Path, where: Where = None) -> Shelves:
    """The shelves behind a suite's own file, whose families then come first."""
    if isinstance(where, Shelves) and file in where.own[:1]:
        return where
    kept = where.kept if isinstance(where, Shelves) else None
    return Shelves.of((file, *_own(where)), kept)


def root() -> Path:
    """The package's own manifests: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "datasets_manifest"
    return inside if inside.is_dir() else package.parent / "datasets_manifest"


def names(kind: Kind, where: Where = None) -> list[str]:
    """Names of all suites or all dataset families."""
    found = {path.stem for folder in folders(where) for path in (folder / kind).glob("*.toml")}
    inline = _inline(where) if kind == "splits" else {file.stem for file in _own(where) if file.suffix == ".toml"}
    return sorted(found | set(inline))


def manifest_path(kind: Kind, name: str, where: Where = None) -> Path:
    """The manifest called `name`, or the user's own file when `name` ends in ".toml".

    For a family that a suite carries inline this is the suite's file.

    Raises:
        UsageError: there is none.
    """
    if name.endswith(".toml"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {name}.", f"`croftbench list {kind}` shows those that ship.")
        return path
    if kind == "splits" and (inline := _inline(where).get(name)):
        return inline
    mine = (file for file in _own(where) if kind == "suites" and file.suffix == ".toml" and file.stem == name)
    paths = (folder / kind / f"{name}.toml" for folder in folders(where))
    found = next((path for path in (*mine, *paths) if path.is_file()), None)
    if found is None:
        raise unknown("suite" if kind == "suites" else "dataset", name, names(kind, where))
    return found


def beside(kind: Literal["lists", "prompts"], name: str, where: Where = None) -> Path:
    """Where a list of class ids, or of prompts, lies, the first that is there."""
    paths = [folder / kind / name for folder in folders(where)]
    return next((path for path in paths if path.is_file()), paths[0])


def folders(where: Where = None) -> list[Path]:
    """The folders of manifests, in the order in which they are looked at."""
    kept = [where.kept] if isinstance(where, Shelves) and where.kept else []
    return [*(one for one in _own(where) if one.suffix != ".toml"), root(), *_installed(), *kept]


def is_public(path: Path) -> bool:
    """Whether a manifest ships with croftbench, and so owes its users a licence, a source and a citation."""
    return path.is_relative_to(root())


def checked(own: Path) -> Path:
    """A folder or file that a user names.

    Raises:
        UsageError: it is not there, or holds no manifests.
    """
    if own.suffix == ".toml":
        return manifest_path("suites", str(own))
    if not own.is_dir():
        raise UsageError(f"there is no folder of manifests {own}.", "Check --manifests, or CROFTBENCH_MANIFESTS.")
    if not any((own / kind).is_dir() for kind in ("suites", "splits", "lists", "prompts")):
        raise UsageError(
            f"{own} holds neither suites/ nor splits/.", "Put suites into suites/, or name a suite's file."
        )
    return own


def _own(where: Where) -> tuple[Path, ...]:
    if where is None:
        return ()
    return where.own if isinstance(where, Shelves) else (where,)


def _inline(where: Where) -> dict[str, Path]:
    """Name of every family that a user's suite carries inline -> the suite's file."""
    kept = [where.kept] if isinstance(where, Shelves) and where.kept else []
    found: dict[str, Path] = {}
    for shelf in (*_own(where), *_installed(), *kept):
        for file in _files(shelf):
            if file.parent.name != "splits" or file == shelf:
                for name in _families(file, file.stat().st_mtime_ns):
                    found.setdefault(name, file)
    return found


@cache
def _families(file: Path, _stamp: int) -> tuple[str, ...]:
    """Names of the families in a suite's file; a broken file is an error where it is asked for, not here."""
    try:
        tables = texts.toml(file).get("families", ()) if INLINE.search(texts.read(file)) else ()
    except (OSError, texts.TextError):
        return ()
    return tuple(str(one["name"]) for one in tables if isinstance(one, dict) and "name" in one)


def _files(shelf: Path) -> Iterator[Path]:
    if shelf.suffix == ".toml":
        yield from [shelf] if shelf.is_file() else []
    else:
        for kind in ("suites", "splits"):
            yield from sorted((shelf / kind).glob("*.toml"))


@cache
def _installed() -> tuple[Path, ...]:
    """Folders of manifests that installed packages bring.

    Raises:
        ManifestError: a package's entry point leads nowhere.
    """
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            home = Path(str(entry.load().__file__)).parent
        except Exception as error:  # a package's own code runs, which may raise anything
            said = f"the entry point '{entry.name}' of {GROUP}, {entry.value}, cannot be loaded: {error}"
            raise ManifestError(f"{said}.", "Uninstall or correct the package that brings it.") from error
        found.append(home)
    return tuple(found)
