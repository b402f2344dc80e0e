"""From here to there: a file goes up as soon as it is complete, and what could not is noted and tried again."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

from croftbench.errors import CroftbenchError, DataError
from croftbench.mirrors.mirrored import Mirror, json_last, of

_log = logging.getLogger(__name__)


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
    names = sorted(unsent(found), key=json_last)
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


def unsent(found: Mirror) -> set[str]:
    """Names of the files that are not put up."""
    notes = found.folder.with_suffix(".unsent")
    return {path.relative_to(notes).as_posix() for path in notes.rglob("*") if path.is_file()}
