"""How files are written and named by content: complete or not at all, even across a power cut, and by SHA-256."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from croftbench.errors import DataError

# ------------------------------------------------------------------------------------- digests


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object) -> str:
    """Canonical JSON: sorted keys, no spaces, full precision, text as it is.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return _CANONICAL.encode(value)


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON; file names in it may be any bytes."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogateescape")).hexdigest()


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes, read in pieces.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.", "Check the path.") from error


# ------------------------------------------------------------------------------------- writing


def write_atomically(path: Path, content: str | bytes, option: str = "") -> None:
    """Replace `path` by a text (UTF-8) or by bytes in one step; see `replacing`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path, option) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path, option: str = "") -> Iterator[Path]:
    """A new file beside `path`, to be written inside; afterwards it replaces `path` in one step.

    On return the new content is on the disk, not only in memory. If anything fails, the old file is untouched and the
    new one is gone. A link is followed, and a device or a pipe (/dev/stdout) is written to directly.

    Args:
        path: the file; its folder is made if need be.
        option: the command-line option that chose the folder, for the error's hint.

    Raises:
        DataError: it cannot be written; the message names it, the hint its folder.
    """
    target = path.resolve()
    temporary = _beside(target)
    with _explained(path, option):
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            sync(temporary)
            temporary.replace(target)
            sync(target.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_writable(folder: Path, option: str, room: int = 0) -> None:
    """Fail unless files can be made in a folder, which is made if need be, and so many bytes are free there.

    Raises:
        DataError: they cannot; the message names the folder, the hint the option that chooses another.
    """
    with replacing(folder / "writable", option) as probe, contextlib.suppress(FileNotFoundError):
        probe.write_bytes(b"")
    (folder / "writable").unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if free < room:
        raise DataError(
            f"{folder} has {free / 1e6:,.0f} MB free, and {room / 1e6:,.0f} MB are needed for what is planned.",
            f"Free some space, or choose another folder with {option}.",
        )


@contextlib.contextmanager
def replacing_folder(path: Path, option: str = "") -> Iterator[Path]:
    """As `replacing`, for a folder of files: it appears complete, instead of an older one, or not at all.

    Between the two renames there is neither, so `path` must be something that its readers can do without.

    Raises:
        DataError: it cannot be written; the older one is there again.
    """
    target = path.resolve()
    temporary = _beside(target)
    with _explained(path, option):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            put_folder(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def put_folder(finished: Path, target: Path) -> None:
    """Put a finished folder in the place of `target`, on the same disk, once all of it has reached the disk.

    Raises:
        OSError: it cannot be moved; what was there before is there again.
    """
    old = _beside(target)
    try:
        for inside in sorted(finished.rglob("*"), reverse=True):  # a folder after what is in it
            sync(inside)
        sync(finished)
        if target.exists():
            target.replace(old)
        finished.replace(target)
        sync(target.parent)
    finally:
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk.

    Raises:
        OSError: the disk is full or broken.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


def _beside(target: Path) -> Path:
    """A free name in the same folder; `croftbench cache prune` removes what a killed process leaves."""
    return target.with_name(f"{target.name[:100]}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def _explained(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        choose = f" with {option}" if option else ""
        raise DataError(
            f"cannot write {path}: {error.strerror or error}.",
            f"Free some space in {path.parent}, or choose another folder{choose}.",
        ) from error
