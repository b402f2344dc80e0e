"""How files are written, named by content and known again: complete or not at all, even across a power cut, by SHA-256.

Every JSON that this project stores ends in its own digest (see `sealed`); arrays hold theirs behind the numbers
(croftbench.npy), and a run's JSON holds that of its per-image table. docs/faults.md says what is promised.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import gzip
import hashlib
import json
import logging
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from croftbench import mirrors
from croftbench.errors import DataError

_log = logging.getLogger(__name__)

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


# ------------------------------------------------------------------------------------- sealed records

_SEAL = b',\n "digest": "'


def sealed(text: str) -> str:
    """The text of a JSON object with members, and as its last one "digest": SHA-256 of all text before it."""
    head = text.rstrip().removesuffix("}").rstrip()
    return f'{head}{_SEAL.decode()}{hashlib.sha256(head.encode()).hexdigest()}"\n}}\n'


def check_seal(content: bytes) -> None:
    """Refuse a sealed text of which anything was changed; line ends of another system are no change.

    Raises:
        ValueError: with what is wrong.
    """
    if b"\r\n" in content:
        content = content.replace(b"\r\n", b"\n")
    end = content.rfind(_SEAL)
    if end < 0:
        raise ValueError("it does not end in its digest")
    whole = hashlib.sha256(memoryview(content)[:end]).hexdigest()  # not of a copy: records can be large
    if content[end + len(_SEAL) :].rstrip() != whole.encode() + b'"\n}':
        raise ValueError("it is not what was written: its digest is another")


PACKED = ".gz"
"""How the names of packed records end."""

UNPACKED = 2**26
"""Bytes that a packed record may have at most; one of all scores on a large suite has a twentieth of that."""


def packed(text: str) -> bytes:
    """A text as gzip packs it, the same bytes whenever it is packed."""
    return gzip.compress(text.encode(), mtime=0)


def unpacked(content: bytes) -> bytes:
    """What `packed` packed, in bounded memory.

    Raises:
        ValueError: it is damaged or cut, has more behind it, or unfolds into more than `UNPACKED` bytes.
    """
    stream = zlib.decompressobj(31)  # gzip's header
    try:
        data = stream.decompress(content, UNPACKED)
    except zlib.error as error:
        raise ValueError(f"it does not unpack: {error}") from error
    if stream.unused_data or not stream.eof:
        raise ValueError("it does not unpack: it was cut, has more behind it, or is larger than any record")
    return data


def recall(path: Path) -> dict[str, Any] | None:
    """What `remember` wrote to the cache, None where there is nothing; what is damaged is deleted, and it is said."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    try:
        check_seal(content)
        value: dict[str, Any] = json.loads(content)
        del value["digest"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        discard(path, str(error))
        return None
    return value


def remember(path: Path, value: Mapping[str, object]) -> None:
    """Write a record of the cache; one that cannot be written only makes the next run slower."""
    with contextlib.suppress(DataError):
        write_atomically(path, sealed(json.dumps(value, indent=1)), "--cache")


def discard(path: Path, why: str) -> None:
    """Delete what is damaged in the cache, where that is allowed, and say so: who needs it makes it again."""
    _log.warning("%s is damaged and is made again: %s.", path, why)
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


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
    new one is gone. A link is followed, and a device or a pipe (/dev/stdout) is written to directly. Where the folder
    mirrors one of a store, the file is put up (croftbench.mirrors).

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
            with mirrors.sending(target):
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
    probe = _beside(folder / "writable")  # a name that `cache prune` knows, should the process end here
    with _explained(folder / "writable", option):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"")
        finally:
            probe.unlink(missing_ok=True)
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


def sweep(*targets: Path) -> None:
    """Remove what killed processes left unfinished of files that nobody else is writing now."""
    for target in targets:
        for unfinished in target.parent.glob(f"{glob.escape(target.name[:100])}.????????.tmp"):
            with contextlib.suppress(OSError):
                unfinished.unlink()


@contextlib.contextmanager
def _explained(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error, option) from error


def unwritable(path: Path, error: OSError, option: str = "") -> DataError:
    """The error for a file that cannot be written: what happened, and the folder at fault."""
    parents = path.absolute().parents
    there = next((folder for folder in parents if folder.is_dir()), parents[-1])
    what = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = f"Free some space in {path.parent}"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = f"Make {there} writable"
    elif error.errno in (errno.ENOENT, errno.ESTALE):
        what, advice = f"{path.parent} has vanished meanwhile", f"See what became of it; {there} is there"
    else:
        advice = f"Look at {there}"
    choose = f" with {option}" if option else ""
    return DataError(f"cannot write {path}: {what}.", f"{advice}, or choose another folder{choose}.")
