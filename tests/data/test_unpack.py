"""Archives are opened as if an enemy had packed them, and leave nothing behind when they are refused."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croftbench.data.get import unpack as module
from croftbench.data.get.unpack import unpack
from croftbench.errors import DataError

FILES = {"set/a class/1.jpg": b"one", "set/b/2.jpg": b"two" * 1000, "set/b/ünï.jpg": b""}


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            file.addfile(member, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, 0o644
    return member


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_untouched(folder: Path, archive: Path) -> None:
    """Nothing but the archive is there: no partial folder, no file that escaped."""
    assert sorted(p.name for p in folder.iterdir()) == [archive.name]


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz"])
def test_tars_of_every_compression(tmp_path, name):
    kind = {"r": "", "z": "gz", "2": "bz2"}.get(name[-1], "gz" if name.endswith("gz") else "xz")
    archive = tar(tmp_path / name, *((member(n), d) for n, d in FILES.items()), mode=f"w:{kind}")
    assert module.is_archive(name)
    read = []
    unpack(archive, tmp_path / "out", advance=read.append)
    assert tree(tmp_path / "out") == FILES
    assert sum(read) == archive.stat().st_size, "progress is told in bytes of the archive"
    assert min(read) >= 0


def test_a_zip_is_read_as_what_it_is_whatever_its_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.tar", "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("set/empty")
        for name, data in FILES.items():
            file.writestr(name, data)
    unpack(tmp_path / "x.tar", tmp_path / "out")
    assert tree(tmp_path / "out") == FILES
    assert (tmp_path / "out/set/empty").is_dir()


def test_a_link_that_stays_inside_is_kept(tmp_path):
    soft, hard = member("b.jpg", tarfile.SYMTYPE, "a/1.jpg"), member("c.jpg", tarfile.LNKTYPE, "a/1.jpg")
    archive = tar(tmp_path / "x.tar", (member("a/1.jpg"), b"one"), (soft, b""), (hard, b""))
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/b.jpg").read_bytes() == (tmp_path / "out/c.jpg").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a/..", "..\\x", "C:\\x", "C:x", "\\\\host\\share\\x"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_name_that_leads_out_is_refused(tmp_path, name, kind):
    archive = tmp_path / f"x.{kind}"
    if kind == "tar":
        tar(archive, (member("fine.jpg"), b"1"), (member(name), b"evil"))
    else:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("fine.jpg", b"1")
            entry = zipfile.ZipInfo("placeholder")
            entry.filename = name
            file.writestr(entry, b"evil")
    with pytest.raises(DataError, match="refused: it leads out"):
        unpack(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


@pytest.mark.parametrize(
    "bad",
    [
        member("l", tarfile.SYMTYPE, "/etc/passwd"),
        member("l", tarfile.SYMTYPE, "../outside"),
        member("a/b/l", tarfile.SYMTYPE, "../../../outside"),
        member("l", tarfile.LNKTYPE, "../outside"),
        member("pipe", tarfile.FIFOTYPE),
        member("disk", tarfile.BLKTYPE),
        member("tty", tarfile.CHRTYPE),
    ],
    ids=lambda m: f"{m.name}-{m.linkname}",
)
def test_links_out_and_devices_are_refused(tmp_path, bad):
    archive = tar(tmp_path / "x.tar", (member("fine.jpg"), b"1"), (bad, b""))
    with pytest.raises(DataError, match="refused"):
        unpack(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


def test_a_file_written_through_a_link_cannot_escape(tmp_path):
    """First a link to the outside, then a file below it: the old trick."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    archive = tar(
        tmp_path / "x.tar", (member("d", tarfile.SYMTYPE, str(outside)), b""), (member("d/evil.jpg"), b"evil")
    )
    with pytest.raises(DataError, match="refused"):
        unpack(archive, tmp_path / "out")
    assert not list(outside.iterdir())
    assert_untouched(tmp_path, archive)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_zip_with_anything_but_files_is_refused(tmp_path, kind):
    entry = zipfile.ZipInfo("thing")
    entry.external_attr = (kind | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(entry, b"/etc/passwd")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert_untouched(tmp_path, tmp_path / "x.zip")


def test_a_bomb_is_refused_before_it_is_written(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(3):
            file.writestr(f"{i}.jpg", bytes(1 << 26))
    assert (tmp_path / "x.zip").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert_untouched(tmp_path, tmp_path / "x.zip")
    with pytest.raises(DataError, match="more than 10 bytes"):
        unpack(tar(tmp_path / "y.tar", (member("a"), b"x" * 11)), tmp_path / "out", limit=10)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_a_truncated_archive_leaves_nothing(tmp_path, kind):
    archive = tmp_path / f"x.{kind}"
    noise = os.urandom(100_000)
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.jpg", noise)
    else:
        tar(archive, (member("a.jpg"), noise), (member("b.jpg"), noise), mode="w:gz" if kind == "tar.gz" else "w")
    archive.write_bytes(archive.read_bytes()[:60_000])
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


def test_a_flipped_byte_in_a_zip_is_noticed(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.jpg", bytes(10_000))
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[5_000] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert_untouched(tmp_path, tmp_path / "x.zip")


def _sparse_that_goes_on_behind_the_end() -> bytes:
    """A sparse file's header that says that more of its map follows: tarfile raises IndexError."""
    head = bytearray(member("a.jpg", tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    head[482] = 1
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def _zip_with_a_name_that_is_no_utf8() -> bytes:
    """Its flag says that it is: zipfile raises UnicodeDecodeError."""
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as file:
        file.writestr("\u00e9.jpg", b"one")
    return packed.getvalue().replace("\u00e9".encode(), b"\xff\xfe")


@pytest.mark.parametrize(
    ("data", "error"),
    [(_sparse_that_goes_on_behind_the_end(), "IndexError"), (_zip_with_a_name_that_is_no_utf8(), "UnicodeDecodeError")],
)
def test_whatever_a_reader_raises_the_archive_is_called_damaged(tmp_path, data, error):
    archive = tmp_path / "x.archive"
    archive.write_bytes(data)
    with pytest.raises(DataError, match=rf"^x\.archive is damaged: {error}: .*Remove it and download it again\.$"):
        unpack(archive, tmp_path / "out")
    assert_untouched(tmp_path, archive)


def test_an_encrypted_zip_says_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.jpg", b"secret")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of the central directory
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_what_is_there_is_never_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match="exists already"):
        unpack(tar(tmp_path / "x.tar", (member("a"), b"1")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine.jpg": b"mine"}


def test_an_unfinished_attempt_is_replaced(tmp_path):
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking/half.jpg").write_bytes(b"")
    unpack(tar(tmp_path / "x.tar", (member("a"), b"1")), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": b"1"}


NAMES = st.text(st.sampled_from("ab./\\:~\0 é"), min_size=1, max_size=12)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=1, max_size=4), link=NAMES)
def test_no_name_or_link_writes_outside(tmp_path_factory, names, link):
    """Whatever the members are called, all that can appear is the folder that was asked for."""
    base = tmp_path_factory.mktemp("any")
    home = base / "deep/er"
    home.mkdir(parents=True)
    archive = tar(
        home / "x.tar", (member("link", tarfile.SYMTYPE, link), b""), *((member(name), b"1") for name in names)
    )
    try:
        unpack(archive, home / "out")
    except DataError:
        assert not (home / "out").exists()
    assert {p for p in base.rglob("*") if home / "out" not in (p, *p.parents)} == {base / "deep", home, archive}
