"""Archives -> folders, safely: an archive is somebody else's program for writing on this disk."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, NamedTuple

from croftbench.errors import DataError

RATIO = 20
"""Pictures hardly compress: an archive that claims to grow more than this is not a set of pictures."""
ALLOWANCE = 1 << 26
"""Bytes that any archive may grow to, whatever its own size: label files do compress."""
MEMBERS = 20_000_000
"""More entries than any data set of the field has."""

Step = Callable[[int], None]
UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError,
)  # fmt: skip


def is_archive(name: str) -> bool:
    """Whether a file of this name is one that `unpack` reads."""
    return name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"))


def unpack(archive: Path, into: Path, *, limit: int | None = None, advance: Step = lambda size: None) -> None:
    """Unpack a tar or zip file into a new folder, which appears when it is complete and not before.

    Args:
        archive: read as what its content says it is, whatever its name.
        into: must not exist; its parent must.
        limit: bytes that may come out; by default twenty times the archive's size, and 64 MB more.
        advance: told how many more bytes of the archive were read.

    Raises:
        DataError: it is damaged or encrypted, an entry would land outside (absolute, "..", a link out), an entry is
            neither file, folder nor link, too many bytes come out, or the disk is full. Nothing is left behind.
    """
    if into.exists():
        raise DataError(f"{into} exists already.", "Move it away first.")
    bound = limit if limit is not None else RATIO * archive.stat().st_size + ALLOWANCE
    partial = into.with_name(f".{into.name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with archive.open("rb") as raw, _reader(archive, raw) as entries:
            done = 0
            for _ in _write(archive, entries, partial, bound):
                done, before = max(done, raw.tell()), done
                advance(done - before)
            advance(archive.stat().st_size - done)
        partial.rename(into)
    except UNREADABLE as error:
        what = str(error).rstrip(".") or type(error).__name__
        raise DataError(f"{archive.name} is damaged: {what}.", "Remove it and download it again.") from error
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot unpack {archive.name} into {into.parent}: {error.strerror or error}.", "") from error
    except Exception as error:  # whatever Python's readers raise on hostile bytes: struct.error, IndexError, ...
        what = f"{type(error).__name__}: {error}".rstrip(".")
        raise DataError(f"{archive.name} is damaged: {what}.", "Remove it and download it again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Entry(NamedTuple):
    """One member: its size, and how to write it below a folder."""

    size: int
    write: Callable[[Path], None]


def _write(archive: Path, entries: Iterator[_Entry], into: Path, bound: int) -> Iterator[None]:
    """Write the entries, one a step."""
    total = 0
    for count, entry in enumerate(entries, 1):
        total += entry.size
        if total > bound or count > MEMBERS:
            raise DataError(
                f"{archive.name} unpacks to more than {bound:,} bytes: it is not what it should be.", "Remove it."
            )
        entry.write(into)
        yield


@contextmanager
def _reader(archive: Path, raw: BinaryIO) -> Iterator[Iterator[_Entry]]:
    """The members of a tar or zip file, whichever it is."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(raw) as opened:
            yield _zip_entries(archive, opened)
    else:
        with tarfile.open(fileobj=raw) as opened:
            yield _tar_entries(archive, opened)


def _tar_entries(archive: Path, opened: tarfile.TarFile) -> Iterator[_Entry]:
    for member in opened:
        _inside(archive, member.name)

        def write(into: Path, member: tarfile.TarInfo = member) -> None:
            try:
                opened.extract(member, into, filter="data")  # refuses devices, and links that lead out
            except (tarfile.FilterError, ValueError) as error:  # the second: a link to a name with a zero byte
                raise _refused(archive, member.name, str(error)) from error

        yield _Entry(member.size, write)
        opened.members.clear()  # type: ignore[attr-defined]  # a million entries would otherwise stay in memory


def _zip_entries(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Entry]:
    for member in opened.infolist():
        _inside(archive, member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refused(archive, member.filename, "neither a file nor a folder")
        if member.flag_bits & 1:
            raise DataError(f"{archive.name} is encrypted.", "Unpack it by hand with the password of its owners.")

        def write(into: Path, member: zipfile.ZipInfo = member) -> None:
            target = into / member.filename
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)

        yield _Entry(member.file_size, write)


def _inside(archive: Path, name: str) -> None:
    """Refuse a name that is absolute or climbs, on this system or on Windows."""
    windows = PureWindowsPath(name)
    climbs = ".." in PurePosixPath(name).parts or ".." in windows.parts
    if climbs or PurePosixPath(name).is_absolute() or windows.anchor or "\0" in name:
        raise _refused(archive, name, "it leads out of the folder")


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"{archive.name} holds '{os.fsdecode(name)[:80]}', refused: {why}.", "Do not trust this file.")
