"""Folders at s3://, gs:// and hf://. Each has a mirror: a folder of this machine, which everything reads and writes.

A file of a mirror is put up as soon as it is complete, each by one request, which such a store carries out wholly or
not at all; a run's table goes before the JSON that makes it a finished run. Before a command reads results, what the
mirror lacks is fetched, and what is gone from the store goes here too. Of a cache, only finished features are put up,
and each is fetched when it is asked for. What a cut connection kept from being put up is noted beside the mirror
before it is tried, and the next command tries again. See docs/scale-out.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs

from croftbench.errors import CroftbenchError, DataError, UsageError

MIRRORS = "CROFTBENCH_MIRRORS"
"""The variable that says where mirrors are; below the user's cache folder where it is not set."""

RESULTS, CACHE = "results", "cache"
"""Kinds of mirrors."""

STORES = {"s3": ("s3fs", 1), "gs": ("gcsfs", 1), "hf": ("huggingface_hub", 3)}
"""Scheme -> the package that fsspec needs, and how many names make a bucket ("datasets/owner/name" on the hub). All of
them put a file wholly or not at all; a store that does not, as a server of plain files, is none of these."""

LOCAL = ("claims", "trash")
"""Folders of results that are not mirrored: leases, which a store cannot hold, and what `rm` moved away."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://?(?P<path>.*)$")
_log = logging.getLogger(__name__)


# ------------------------------------------------------------------------------------- where mirrors are


@dataclass(frozen=True)
class Mirror:
    """One folder of a store, and of this machine.

    Attributes:
        folder: here.
        url: there, without a slash at the end.
    """

    folder: Path
    url: str

    @property
    def scheme(self) -> str:
        """One of STORES."""
        return self.url.partition(":")[0]

    @property
    def path(self) -> str:
        """The URL without its scheme, as listings give it."""
        return self.url.partition("://")[2]

    def at(self, name: str) -> str:
        """The object of a file's name."""
        return f"{self.path}/{name}"

    def name(self, path: Path) -> str:
        """A file's name below the folder."""
        return path.resolve().relative_to(self.folder).as_posix()

    def note(self, name: str) -> Path:
        """The file that is there as long as a file is not put up."""
        return self.folder.with_suffix(".unsent") / name

    def mirrored(self, name: str) -> bool:
        """Whether the file of this name is also in the store: it is neither a lease, nor unfinished, nor a name that
        leads out of the folder, as anybody's object may have.
        """
        parts = PurePosixPath(name).parts
        if name.startswith("/") or name.endswith(("/", ".tmp", ".lease")) or any(one.startswith(".") for one in parts):
            return False
        if self.folder.name.startswith(CACHE):
            return len(parts) == 2 and parts[0] == "features" and parts[1].endswith(".npy")
        return bool(parts) and not any(part in LOCAL for part in parts[:2])

    @contextlib.contextmanager
    def store(self, what: str) -> Iterator[Any]:
        """The store, as fsspec has it; what goes wrong inside is one line.

        Raises:
            UsageError: a package is missing.
            DataError: whatever the store, the network or the disk says.
        """
        package, _ = STORES[self.scheme]
        try:
            import fsspec

            there = fsspec.filesystem(self.scheme, use_listings_cache=False)
        except ImportError as error:
            hint = "pip install 'croftbench[remote]'" if self.scheme == "s3" else f"pip install fsspec {package}"
            raise UsageError(f"{self.url} needs {error.name or package}, which is not installed.", hint) from None
        try:
            yield there
        except CroftbenchError:
            raise
        except Exception as error:  # each store and each layer below it raises errors of its own
            said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise DataError(f"cannot {what} {self.url}: {said}.", _hint(error, self.scheme)) from error


def is_url(folder: object) -> bool:
    """Whether a folder is one of a store; `Path` makes one slash of two."""
    return _URL.match(str(folder)) is not None


def mirror(url: object, kind: str) -> Path:
    """The folder of this machine that mirrors a URL. Nothing is asked of the store.

    Raises:
        UsageError: no such store, or no folder of one.
        DataError: the mirror cannot be made.
    """
    match = _URL.match(str(url))
    scheme, path = (match["scheme"].lower(), match["path"].strip("/")) if match else ("", "")
    if scheme not in STORES:
        known = ", ".join(f"{name}://" for name in STORES)
        raise UsageError(f"{kind} cannot be at {url}.", f"A folder, or one of {known}.")
    if path.count("/") + 1 < STORES[scheme][1] or not path:
        example = "datasets/owner/name" if scheme == "hf" else "bucket/folder"
        raise UsageError(f"{url} names no place for {kind}.", f"As in {scheme}://{example}.")
    whole = f"{scheme}://{path}"
    folder = _base() / f"{kind}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
    label = folder.with_suffix(".url")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not label.exists():
            temporary = label.with_suffix(f".{secrets.token_hex(4)}.tmp")
            temporary.write_bytes(whole.encode())
            temporary.replace(label)
    except OSError as error:
        raise DataError(
            f"cannot make a mirror in {folder.parent}: {error.strerror}.", f"Choose another folder with {MIRRORS}."
        ) from error
    return folder


def of(path: Path) -> Mirror | None:
    """The mirror that a path is in, if it is in one: known by its place, so any process knows it."""
    base, whole = _base(), path.resolve()
    if base not in whole.parents:
        return None
    folder = base / whole.relative_to(base).parts[0]
    try:
        return Mirror(folder, folder.with_suffix(".url").read_bytes().decode())
    except OSError:
        return None


def named(path: Path) -> str:
    """A path as its user knows it: with the URL in place of the mirror's folder."""
    found = of(path)
    if found is None:
        return str(path)
    return found.url if path.resolve() == found.folder else f"{found.url}/{found.name(path)}"


def _base() -> Path:
    told = os.environ.get(MIRRORS)
    return (Path(told).expanduser() if told else platformdirs.user_cache_path("croftbench") / "mirrors").resolve()


def variable() -> dict[str, str]:
    """What a process on another machine must be told to know the same mirrors."""
    return {MIRRORS: str(_base())}


# ------------------------------------------------------------------------------------- from here to there


@contextlib.contextmanager
def sending(path: Path) -> Iterator[None]:
    """Around the step that makes a file of a mirror complete: it is put up after that.

    What cannot be put up is said, not raised: the file is here, and `push` tries again.
    """
    found = of(path)
    name = found.name(path) if found else ""
    if found is None or not found.mirrored(name):
        yield
        return
    note = found.note(name)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()  # first: whatever ends this process, the file is known not to be there
    yield
    try:
        _put(found, name)
    except CroftbenchError as error:
        _log.warning("%s is kept in %s and put up later: %s", name, found.folder, error.message)


def push(folder: Path) -> None:
    """Put up what was not.

    Raises:
        DataError: it still cannot be; it stays here.
    """
    found = of(folder)
    if found is None:
        return
    names = sorted(_unsent(found), key=_json_last)
    for done, name in enumerate(names):
        try:
            _put(found, name)
        except DataError as error:
            count = len(names) - done
            raise DataError(f"{error.message} {count} file(s) are kept in {found.folder}.", error.hint) from error


def check(folder: Path) -> None:
    """Fail unless files can be put into a mirror's store.

    Raises:
        DataError: they cannot. UsageError: a package is missing.
    """
    if found := of(folder):
        with found.store("write to") as store:
            probe = found.at(f"writable.{secrets.token_hex(4)}.tmp")
            store.pipe_file(probe, b"croftbench")
            store.rm_file(probe)


def remove(path: Path) -> None:
    """Remove a file from the store, before it is removed here.

    Raises:
        DataError: it cannot be.
    """
    found = of(path)
    if found is None or not found.mirrored(found.name(path)):
        return
    with found.store("remove a file of") as store, contextlib.suppress(FileNotFoundError):
        store.rm_file(found.at(found.name(path)))


def move(path: Path, target: Path) -> None:
    """Move a file within the store, before it is moved here: it is copied, then removed.

    Raises:
        DataError: it cannot be; it is where it was.
    """
    found = of(path)
    if found is not None and found.mirrored(found.name(path)):
        with found.store("move a file of") as store, contextlib.suppress(FileNotFoundError):
            store.cp_file(found.at(found.name(path)), found.at(found.name(target)))
            store.rm_file(found.at(found.name(path)))


def _put(found: Mirror, name: str) -> None:
    path, note = found.folder / name, found.note(name)
    if path.is_file():
        with found.store("put a file into") as store:
            store.put_file(str(path), found.at(name))
    note.unlink(missing_ok=True)


def _unsent(found: Mirror) -> set[str]:
    notes = found.folder.with_suffix(".unsent")
    return {path.relative_to(notes).as_posix() for path in notes.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------- from there to here


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
    unsent = _unsent(found)  # after `here`: a file of ours that is not among these is in the store by now
    there = _listing(found)
    changed = {name for name, about in there.items() if name not in unsent and not _same(found.folder / name, about)}
    tables = {f"{name.removesuffix('.json')}.parquet" for name in changed if name.endswith(".json")}
    _get(found, changed | (tables & there.keys()), there)
    for name in here - there.keys() - unsent:
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
    ordered = sorted(names, key=_json_last)
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


def _json_last(name: str) -> tuple[bool, str]:
    return name.endswith(".json"), name


def _hint(error: Exception, scheme: str) -> str:
    kinds: Sequence[type] = type(error).__mro__
    if isinstance(error, PermissionError) or any("Credential" in kind.__name__ for kind in kinds):
        ask = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " if scheme == "s3" else ""
        return f"Check the credentials: {ask}and what they may do."
    if isinstance(error, FileNotFoundError):
        return "Make the bucket first, or correct the URL."
    return "Check the network and the address; the same command goes on from there."
