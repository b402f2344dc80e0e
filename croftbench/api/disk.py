"""What is on this machine's disk: data sets, whole or not, and the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.errors import UsageError
from croftbench.locations import Folder, Folders
from croftbench.progress import Progress, Silent
from croftbench.runs import trash

if TYPE_CHECKING:
    from croftbench.data.get.obtain import Obtained
    from croftbench.data.status import DataStatus
    from croftbench.data.verify import Verified
    from croftbench.runs.cached import Cached, Contents

UNUSED = 30
"""Days after which an entry is old, where nothing else is said."""


def data_status(*, data_root: Folder = None, manifests: Folder = None) -> DataStatus:
    """Every split with its state, and every suite with what it lacks.

    Raises:
        DataError: the data folder is not there, or cannot be read. ManifestError: a manifest breaks a rule.
    """
    from croftbench.data.status import DataStatus

    return DataStatus.of(Folders.of(data_root=data_root, manifests=manifests).roots)


def verify_data(
    name: str,
    *,
    deep: bool = False,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: Progress | None = None,
) -> Verified:
    """Compare a split, or all splits of a family, with the manifest: counts, strays, unreadable files.

    Args:
        name: "pacs/photo", or "pacs" for all.
        deep: decode every image.
        data_root, manifests: folders other than those of the variables.
        progress: told of decoded images.

    Returns:
        A report a split. `fault` is the line that says what is wrong first, or None.

    Raises:
        UsageError: there is none of that name, or no data folder is known.
        DataError: a folder cannot be read.
    """
    from croftbench.data.description import parts_of
    from croftbench.data.verify import verify

    folders = Folders.of(data_root=data_root, manifests=manifests)
    family, parts = parts_of(name, folders.manifests)
    if folders.roots.root(family.name) is None and not family.shipped:
        raise UsageError(f"{family.name} is not shipped.", "Say where it is: --data-root FOLDER, or CROFTBENCH_DATA.")
    return verify(folders.roots, family, parts, progress or Silent(), deep=deep)


def get_data(
    name: str, *, data_root: Folder = None, manifests: Folder = None, progress: Progress | None = None
) -> Obtained:
    """Fetch a data set into a new folder under the data root, and verify it; what is whole already stays as it is.

    Args:
        name: a split, or a family.
        data_root, manifests: folders other than those of the variables.
        progress: told of bytes and files.

    Raises:
        UsageError: there is none of that name, or no data folder is known.
        ByHandError: a `DataError` whose `steps` say how a person gets it.
        DataError: the download fails; what has arrived is kept for the next try.
    """
    from croftbench.data.description import parts_of
    from croftbench.data.get.obtain import obtain

    folders = Folders.of(data_root=data_root, manifests=manifests)
    family, parts = parts_of(name, folders.manifests)
    return obtain(family, parts, folders.roots, progress or Silent())


def find_runs(names: Sequence[str], *, suite: str | None = None, results: Folder = None) -> list[Path]:
    """The files of runs, by method or by id, as `remove_runs` takes them.

    Raises:
        UsageError: a name of no run, or digits of several.
    """
    return trash.find(Folders.of(results).results, names, suite)


def remove_runs(files: Sequence[Path], *, results: Folder = None) -> Path:
    """Move runs into `results`/trash, from where they can be moved back; the folder that they are in now.

    Raises:
        DataError: one cannot be moved.
    """
    return trash.move(Folders.of(results).results, files)


def cached(*, cache: Folder = None) -> Contents:
    """What the cache holds: features, outputs of runs, descriptions of methods and encoders."""
    from croftbench.runs.cached import Contents, entries

    folder = Folders.of(cache=cache).cache
    return Contents(folder, tuple(entries(folder)))


def prune_cache(
    days: float | None = None, *, to: float | None = None, dry_run: bool = False, cache: Folder = None
) -> list[Cached]:
    """Remove what was not used for so many days, then the oldest until it fits; and what killed processes left behind.

    What another process of this machine has open stays, and so does what may be being written.

    Args:
        days: 30 where there is no `to`, else any age.
        to: gigabytes (1e9 bytes) that may be left.
        dry_run: remove nothing.
        cache: a folder other than the variable's.

    Returns:
        What was removed, or would be. All of it can be made again.

    Raises:
        UsageError: `days` or `to` is negative.
    """
    from croftbench.runs.cached import prune

    if days is not None and not days >= 0:
        raise UsageError(f"an entry cannot be unused for {days} days.", "Give a number of days from 0 up.")
    if to is not None and not to >= 0:
        raise UsageError(f"a cache cannot have {to} gigabytes.", "Give a number of gigabytes from 0 up.")
    if days is None and to is None:
        days = UNUSED
    return prune(Folders.of(cache=cache).cache, days, None if to is None else to * 1e9, dry_run)
