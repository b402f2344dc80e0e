"""From there to here: results as a whole before they are read, a file of the cache when it is asked for."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from croftbench.errors import CroftbenchError, DataError
from croftbench.mirrors.mirrored import STORES, Mirror, json_last, of
from croftbench.mirrors.up import push, unsent

_log = logging.getLogger(__name__)


def pull(folder: Path) -> None:
    """Make a mirror of results what its store is, once all that was not put up is.

    Raises:
        DataError: the store cannot be reached, has no such bucket, or lets nobody in.
        UsageError: a package is missing.
    """
    push(folder)
    found = of(folder)
    if found is None:
        return
    here = {found.name(path) for path in found.folder.rglob("*") if path.is_file()}
    waiting = unsent(found)  # after `here`: a file of ours that is not among these is in the store by now
    there = _listing(found)
    changed = {name for name, about in there.items() if name not in waiting and not _same(found.folder / name, about)}
    tables = {f"{name.removesuffix('.json')}.parquet" for name in changed if name.endswith(".json")}
    _get(found, changed | (tables & there.keys()), there)
    for name in here - there.keys() - waiting:
        if found.mirrored(name):
            (found.folder / name).unlink(missing_ok=True)


def fetch(*paths: Path) -> bool:
    """Whether the last of some files of a mirror is here, where need be fetched with the others, in this order.

    A store that does not answer is said, and counts as one that has no such file.
    """
    found = of(paths[-1])
    if found is None or paths[-1].exists():
        return paths[-1].exists()
    try:
        about = {name: _about(found, name) for name in map(found.name, paths)}
        if about[found.name(paths[-1])] is None:
            return False
        _get(found, [name for name, one in about.items() if one], {name: one for name, one in about.items() if one})
    except CroftbenchError as error:
        _log.warning("%s is not looked for: %s", found.name(paths[-1]), error.message)
    return paths[-1].exists()


def there(path: Path) -> bool:
    """Whether a file is here, or in the store of the mirror that it would be in."""
    found = of(path)
    return path.exists() or (found is not None and _about(found, found.name(path)) is not None)


def _about(found: Mirror, name: str) -> Mapping[str, Any] | None:
    with found.store("look into") as store:
        try:
            about: Mapping[str, Any] = store.info(found.at(name))
        except FileNotFoundError:
            return None
    return about if about["type"] == "file" else None


def _listing(found: Mirror) -> dict[str, Mapping[str, Any]]:
    """The mirrored files of a store, by name."""
    with found.store("list") as store:
        listed: dict[str, Mapping[str, Any]] = store.find(found.path, detail=True)
        if not listed:
            bucket = "/".join(found.path.split("/")[: STORES[found.scheme][1]])
            store.ls(bucket)  # a bucket that is not there is no folder without runs
    names = {path.removeprefix(f"{found.path}/"): about for path, about in listed.items()}
    return {name: about for name, about in names.items() if about["type"] == "file" and found.mirrored(name)}


def _get(found: Mirror, names: Collection[str], about: Mapping[str, Mapping[str, Any]]) -> None:
    """Fetch files, all at once, and put each in its place complete, those that make runs finished last."""
    if not names:
        return
    ordered = sorted(names, key=json_last)
    with (
        found.store("fetch from") as store,
        tempfile.TemporaryDirectory(dir=found.folder.parent, prefix="fetching-") as home,
    ):
        arrived = [Path(home, str(number)) for number in range(len(ordered))]
        store.get([found.at(name) for name in ordered], [str(path) for path in arrived])
        for name, path in zip(ordered, arrived, strict=True):
            size, expected = path.stat().st_size, about[name]["size"]
            if size != expected:
                raise DataError(f"{found.url}/{name} came with {size:,} of {expected:,} bytes.", "Run again.")
            target = found.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _same(path: Path, about: Mapping[str, Any]) -> bool:
    """Whether a file here is the store's: by its size, and its MD5 where the store says that. A run's table is not
    read for that: its JSON holds its digest, and whoever fetches that fetches both.
    """
    try:
        if path.stat().st_size != about["size"]:
            return False
        tag = str(about.get("ETag", "")).strip('"')
        if path.suffix == ".parquet" or not re.fullmatch("[0-9a-f]{32}", tag):  # of many parts, or not S3's
            return True
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == tag
    except OSError:
        return False
