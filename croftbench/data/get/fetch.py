"""Fetching a family: into a hidden folder beside the others, checked, and moved into place in one step.

The one part of croftbench that creates anything under the data root. Whatever lies there already is never touched.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from croftbench.data.get import sources
from croftbench.data.get.unpack import is_archive, unpack
from croftbench.data.get.where import home
from croftbench.data.scan.layouts import occurrences
from croftbench.errors import DataError
from croftbench.files import sync
from croftbench.progress import Progress
from croftbench.suites.families import Family


@dataclass(frozen=True)
class Fetched:
    """What a download left behind.

    Attributes:
        folders: the new folders under the data root.
        source: where it is from, with the commit if there is one.
        unchecked: files without a published digest to compare with.
    """

    folders: tuple[Path, ...]
    source: str
    unchecked: tuple[str, ...] = ()


def staging(family: Family, root: Path) -> Path:
    """Where a download waits until it is whole: hidden, beside what it will become."""
    return root / f".croftbench-{family.name}.part"


def fetch(family: Family, root: Path, progress: Progress) -> Fetched:
    """Download a family, unpack it, and put it under the data root.

    Args:
        family: its `get` says where from; not "hand" or "".
        root: the data root, an existing folder.
        progress: told of bytes and files.

    Raises:
        DataError: the source fails or delivers other bytes than published; an archive is not safe; the disk is full;
            or a folder of that name is there already. What has arrived is kept for the next try, in `staging`.
    """
    wait, get = staging(family, root), family.get
    down, files = wait / "down", wait / "files"
    target = home(family, get.repo)
    _free(root, _foreseen(family, target))
    try:
        down.mkdir(parents=True, exist_ok=True)
        match get.via:
            case "huggingface":
                commit = sources.hub(get.repo, down, progress, revision=get.revision, files=get.files)
                done = Fetched((), f"{get.repo} at {commit[:12]}")
            case "torchvision":
                sources.torchvision(get.dataset, down)
                done = Fetched((), f"torchvision.datasets.{get.dataset}")
            case _:
                done = _addresses(family, down, progress)
        _gather(family, down, files, progress)
        ready, tops = _arrange(family, files, target)
        _free(root, tops)
        os.sync()  # a million files at once; after a power cut, too, a folder in its place is whole
        for top in tops:
            (ready / top).rename(root / top)
        sync(root)
        shutil.rmtree(wait, ignore_errors=True)
    except DataError:
        if not any(path.is_file() for path in wait.rglob("*")):
            shutil.rmtree(wait)  # nothing came, so nothing is worth keeping
        raise
    except OSError as error:
        raise DataError(f"cannot write into {root}: {error.strerror or error}.", "Make room, or change it.") from error
    return replace(done, folders=tuple(root / top for top in tops))


def _addresses(family: Family, down: Path, progress: Progress) -> Fetched:
    digests = {archive.file: archive.sha256 or archive.md5 for archive in family.archives}
    unchecked = []
    for url in family.get.urls:
        name = sources.name_of(url)
        sources.address(url, down, progress, digest=digests.get(name, ""))
        if not digests.get(name):
            unchecked.append(name)
    return Fetched((), ", ".join(family.get.urls), tuple(unchecked))


def _gather(family: Family, down: Path, files: Path, progress: Progress) -> None:
    """Make `files` of what came down: archives unpacked, everything else moved.

    Archives go first, because one of them may be refused; until then nothing has left `down`.
    """
    shutil.rmtree(files, ignore_errors=True)  # an earlier try may have stopped half-way
    files.mkdir()
    came = [path for path in sorted(down.rglob("*")) if path.is_file() and path.relative_to(down).parts[0] != ".cache"]
    packed = [path for path in came if _is_packed(family, path)]
    for path in packed if family.get.via != "torchvision" else ():  # torchvision has unpacked its own
        shutil.rmtree(files.with_name("unpacked"), ignore_errors=True)
        progress.stage(f"unpacking {path.name}", path.stat().st_size)
        unpack(path, files.with_name("unpacked"), advance=progress.advance)
        for top in sorted(files.with_name("unpacked").iterdir()):
            _move(top, files / top.name)
    for path in came:
        if path not in packed:
            _move(path, files / path.relative_to(down))


def _arrange(family: Family, files: Path, target: str) -> tuple[Path, list[str]]:
    """A folder, and the names in it that go under the data root: as the scanner finds them, else all below `target`."""
    listings = [listing for one in occurrences(family, files) for listing in one.parts.values()]
    tops = {listing.base.split("/")[0] for listing in listings} - {""}
    if family.get.via == "torchvision":
        tops = tops or {path.name for path in files.iterdir()}
    if not tops:
        placed = files.with_name("placed")
        shutil.rmtree(placed, ignore_errors=True)
        _move(files, placed / target)
        return placed, [PurePosixPath(target).parts[0]]
    first = files / min(tops)
    for path in sorted(files.iterdir()):  # a licence beside the folders stays with them
        if path.name not in tops and not (first / path.name).exists():
            path.rename(first / path.name)
    return files, sorted(tops)


def _is_packed(family: Family, path: Path) -> bool:
    """Whether a file is an archive to unpack, rather than a shard that is read as it is."""
    shards = any(layout.kind == "webdataset" for layout in family.layouts) and path.suffix == ".tar"
    return is_archive(path.name) and (not shards or any(archive.file == path.name for archive in family.archives))


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder, into the folder that is there from another archive.

    Raises:
        DataError: two files have one name.
    """
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
    elif source.is_dir() and target.is_dir():
        for child in sorted(source.iterdir()):
            _move(child, target / child.name)
        source.rmdir()
    else:
        raise DataError(f"two of the fetched files are called {target.name}.", "They cannot both be kept.")


def _foreseen(family: Family, target: str) -> list[str]:
    """Folders that a download will surely want; archives say themselves what theirs are called."""
    if family.get.via == "torchvision":
        return [layout.at[0] for layout in family.layouts if layout.name == "torchvision"]
    packed = any(is_archive(name) for name in family.get.files)
    return [target] if family.get.via == "huggingface" and not packed else []


def _free(root: Path, targets: Iterable[str]) -> None:
    """Refuse to touch what is there.

    Raises:
        DataError: there is something of the name of a target's first folder.
    """
    for target in targets:
        top = root / PurePosixPath(target).parts[0]
        if top.exists() or top.is_symlink():
            raise DataError(f"{top} is there already, and is never overwritten.", "Move it away to fetch it anew.")
