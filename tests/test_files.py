"""A file is there complete or not at all, and the message of a failure names it and its folder."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from croftbench import files
from croftbench.errors import DataError


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / "deep" / "table.md"
    for data in ("one é\n", b"two\n"):
        files.write_atomically(path, data)
    assert content(tmp_path) == {"deep/table.md": "two\n"}
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    files.write_atomically(path, "old")
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError) as caught:
        files.write_atomically(path, "new", "--results")
    assert caught.value.message == f"cannot write {path}: No space left on device."
    assert caught.value.hint == f"Free some space in {tmp_path}, or choose another folder with --results."
    assert content(tmp_path) == {"table.csv": "old"}


def full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_failing_writer_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "a.bin") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), files.replacing_folder(tmp_path / "a") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_power_cut_finds_the_content_before_the_name(tmp_path, monkeypatch, kind):
    """Content is on the disk before it gets its name, and the name before the function returns."""
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink()}")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append(f"rename {path} {target}")
        return rename(path, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    target = tmp_path / "run"
    if kind == "file":
        with files.replacing(target) as temporary:
            temporary.write_text("x")
        expected = [f"sync {temporary}"]
    else:
        with files.replacing_folder(target) as temporary:
            (temporary / "a.npy").write_text("x")
        expected = [f"sync {temporary}/a.npy", f"sync {temporary}"]
    assert done == [*expected, f"rename {temporary} {target}", f"sync {tmp_path}"]


def test_a_folder_replaces_an_older_one_whole(tmp_path):
    for name in ("first", "second"):
        with files.replacing_folder(tmp_path / "outputs") as folder:
            (folder / name).write_text(name)
    assert content(tmp_path) == {"outputs/second": "second"}


def test_an_older_folder_comes_back_where_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    with files.replacing_folder(tmp_path / "outputs") as folder:
        (folder / "old").write_text("old")
    rename = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if path == folder:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(DataError, match="Input/output error"), files.replacing_folder(tmp_path / "outputs") as folder:
        (folder / "new").write_text("new")
    assert content(tmp_path) == {"outputs/old": "old"}


def test_a_link_is_followed_and_a_device_is_not_replaced(tmp_path):
    (tmp_path / "latest.svg").symlink_to(tmp_path / "real.svg")
    files.write_atomically(tmp_path / "latest.svg", "picture")
    assert (tmp_path / "latest.svg").is_symlink()
    assert (tmp_path / "real.svg").read_text() == "picture"
    (tmp_path / "null").symlink_to("/dev/null")
    files.write_atomically(tmp_path / "null", "gone")
    assert Path("/dev/null").is_char_device()


def test_digests(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 2**20)
    assert files.file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert files.file_digest(path, "md5") == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    with pytest.raises(DataError, match=r"cannot read .*none: No such file"):
        files.file_digest(tmp_path / "none")
    assert files.canonical({"b": 0.1, "a": ["é"]}) == '{"a":["é"],"b":0.1}'
    assert files.digest({"b": 0.1, "a": ["é"]}) == files.digest({"a": ["é"], "b": 0.1})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.digest(float("nan"))


def test_a_sealed_text_is_json_and_knows_any_change():
    text = files.sealed('{\n "a": [1, 2],\n "b": "x"\n}\n')
    assert json.loads(text) == {
        "a": [1, 2],
        "b": "x",
        "digest": hashlib.sha256(b'{\n "a": [1, 2],\n "b": "x"').hexdigest(),
    }
    files.check_seal(text.encode())
    files.check_seal(text.replace("\n", "\r\n").encode())
    for at in range(len(text.rstrip())):
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        with pytest.raises(ValueError, match=r"digest"):
            files.check_seal(changed.encode())
    for changed in ("", "{}", text[:-3], text + "x"):
        with pytest.raises(ValueError, match=r"digest"):
            files.check_seal(changed.encode())


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space in {folder}/new"),
        (errno.EDQUOT, "Free some space in {folder}/new"),
        (errno.EROFS, "Make {folder} writable"),
        (errno.EACCES, "Make {folder} writable"),
        (errno.ENOENT, "See what became of it; {folder} is there"),
        (errno.EIO, "Look at {folder}"),
    ],
)
def test_the_hint_fits_what_happened_and_names_a_folder_that_is_there(tmp_path, number, advice):
    error = files.unwritable(tmp_path / "new/a.json", OSError(number, os.strerror(number)), "--cache")
    assert str(tmp_path / "new/a.json") in error.message
    assert error.hint == advice.format(folder=tmp_path) + ", or choose another folder with --cache."
    if number == errno.ENOENT:
        assert f"{tmp_path / 'new'} has vanished meanwhile" in error.message
