"""Where mirrors are, here and there, which of their files are mirrored, and the store itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
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


def json_last(name: str) -> tuple[bool, str]:
    """The order in which files go: those that make runs finished go last."""
    return name.endswith(".json"), name


def _hint(error: Exception, scheme: str) -> str:
    kinds: Sequence[type] = type(error).__mro__
    if isinstance(error, PermissionError) or any("Credential" in kind.__name__ for kind in kinds):
        ask = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " if scheme == "s3" else ""
        return f"Check the credentials: {ask}and what they may do."
    if isinstance(error, FileNotFoundError):
        return "Make the bucket first, or correct the URL."
    return "Check the network and the address; the same command goes on from there."
