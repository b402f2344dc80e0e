"""Fetching from a hub and from servers on loopback: whole or not at all, resumed, checked, and nothing else touched."""

import hashlib
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from croftbench.data.get import sources
from croftbench.data.get.fetch import fetch, staging
from croftbench.data.scan.layouts import occurrences
from croftbench.errors import CroftbenchError, DataError, UsageError
from croftbench.suites.families import Archive, Family, Get, Layout, Part
from tests.layouts.pictures import picture
from tests.loopback import COMMIT, Loopback, become_hub

JPEG = picture("jpg", 1)
Classes = tuple[str, ...]


class Told:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}

    def stage(self, name: str, total: int) -> None:
        self.stages[name] = [total, 0]
        self.current = name

    def advance(self, steps: int = 1) -> None:
        self.stages[self.current][1] += steps


@pytest.fixture
def server(monkeypatch):
    """A loopback server that huggingface_hub takes for its hub."""
    state = Loopback()
    running = state.serve()
    become_hub(monkeypatch, state.url)
    yield state
    running.shutdown()
    running.server_close()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def family(
    get: Get, *layouts: Layout, archives: tuple[Archive, ...] = (), classes: tuple[str, ...] = ("cat", "dog")
) -> Family:
    part = Part("test", images=2 * len(classes), members=tuple(range(len(classes))))
    made = layouts or (Layout("archive", "folders", ("pets",), folder="."),)
    return Family("pets", "Pets", "CC0-1.0", "", "", "", (), classes, classes, get, archives, (part,), made, Path())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def packed(names: dict[str, bytes], kind: str = "gz") -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            for name, data in names.items():
                file.writestr(name, data)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as tar:
        for name, data in names.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


PETS = {f"{kind}/{i}.jpg": JPEG for kind in ("cat", "dog") for i in range(2)}

# ------------------------------------------------------------------------------------------ the hub

PARQUET = family(
    Get("huggingface", repo="kind/pets", files=("data/*.parquet",)),
    Layout(
        "huggingface", "parquet", ("pets", "datasets--kind--pets/snapshots/*"), folder="data/test-*.parquet", key="name"
    ),
)


def parquet(labels: list[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table({"image": pa.array([{"bytes": JPEG, "path": ""}] * len(labels), image), "label": labels})
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    return buffer.getvalue()


@pytest.fixture
def pets(server):
    """The repository of PARQUET: two shards, a text file, and a file that nobody wants."""
    server.repos["kind/pets"] = {
        "README.md": b"# Pets",
        "data/test-00000-of-00002.parquet": parquet(["cat", "cat"]),
        "data/test-00001-of-00002.parquet": parquet(["dog", "dog"]),
        "extra/big.bin": b"0" * 5000,
    }
    return server


def test_a_parquet_repository_becomes_a_folder_that_is_read(pets, root):
    (root / "mine").mkdir()
    (root / "mine/1.jpg").write_bytes(JPEG)
    done = fetch(PARQUET, root, Told())
    assert done.folders == (root / "pets",)
    assert COMMIT[:12] in done.source
    wanted = {name: data for name, data in pets.repos["kind/pets"].items() if name.startswith("data/")}
    assert tree(root) == {"mine/1.jpg": JPEG} | {f"pets/{name}": data for name, data in wanted.items()}
    (occurrence,) = occurrences(PARQUET, root)
    assert occurrence.parts["test"].labels.tolist() == [0, 0, 1, 1]
    assert pets.bodies().total() == 2, "README.md and big.bin were not asked for"


def test_webdataset_shards_stay_shards(server, root):
    shard = packed({"s0.jpg": JPEG, "s0.cls": b"0", "s1.jpg": JPEG, "s1.cls": b"1"}, "")
    server.repos["kind/wds_pets"] = {"test/0.tar": shard, "classnames.txt": b"cat\ndog\n"}
    wds = family(
        Get("huggingface", repo="kind/wds_pets"),
        Layout("webdataset", "webdataset", ("wds_pets",), folder="test", key="index"),
    )
    assert fetch(wds, root, Told()).folders == (root / "wds_pets",)
    assert tree(root) == {"wds_pets/test/0.tar": shard, "wds_pets/classnames.txt": b"cat\ndog\n"}
    assert occurrences(wds, root)[0].parts["test"].labels.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_archive_on_the_hub_is_unpacked(server, root, kind):
    name = "pets.zip" if kind == "zip" else "pets.tar.gz"
    server.repos["kind/pets"] = {f"data/{name}": packed({f"pets/{n}": d for n, d in PETS.items()}, kind)}
    fetch(family(Get("huggingface", repo="kind/pets", files=("data/*",))), root, Told())
    assert tree(root) == {f"pets/{name}": data for name, data in PETS.items()}


def test_a_cut_connection_is_taken_up_where_it_broke(pets, root, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # what it loses at a cut; 10 MB, more than all of this
    name = "data/test-00000-of-00002.parquet"
    pets.cut[name] = [700]
    fetch(PARQUET, root, Told())
    asked = [ranges for method, path, ranges in pets.asked if method == "GET" and path.endswith(name)]
    assert asked == ["", "bytes=700-"]
    assert (root / "pets" / name).read_bytes() == pets.repos["kind/pets"][name]


def test_a_damaged_file_is_refused_and_fetched_again(pets, root):
    name = "data/test-00001-of-00002.parquet"
    pets.corrupt.add(name)
    with pytest.raises(DataError, match=f"{name} arrived damaged: .* It was removed") as error:
        fetch(PARQUET, root, Told())
    assert "same command" in error.value.hint
    assert [p.name for p in root.iterdir()] == [staging(PARQUET, root).name], "nothing that a scan would take for a set"
    assert occurrences(PARQUET, root) == []
    pets.corrupt.clear()
    pets.asked.clear()
    fetch(PARQUET, root, Told())
    assert set(pets.bodies()) == {p for p in pets.bodies() if p.endswith(name)}, "the sound file is kept"
    assert [p.name for p in root.iterdir()] == ["pets"]


def test_a_small_damaged_file_is_noticed_too(server, root):
    """The hub lists a Git digest for small files, a SHA-256 for large ones."""
    server.repos["kind/pets"] = {"data/test-0.parquet": b"small"}
    server.corrupt.add("data/test-0.parquet")
    with pytest.raises(DataError, match="arrived damaged"):
        fetch(PARQUET, root, Told())


def test_a_hub_that_is_gone_is_one_line(root, monkeypatch):
    become_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"^cannot download from .*:9, for kind/pets: .*refused") as error:
        fetch(PARQUET, root, Told())
    assert "\n" not in str(error.value)
    assert not list(root.iterdir()), "nothing came, nothing is left"


def test_closed_and_missing_repositories_say_so(pets, root):
    pets.gated.add("kind/pets")
    with pytest.raises(DataError, match="accepted its terms"):
        fetch(PARQUET, root, Told())
    other = family(Get("huggingface", repo="kind/pest"))
    with pytest.raises(DataError, match="no data set kind/pest"):
        fetch(other, root, Told())
    pets.gated.clear()
    with pytest.raises(DataError, match=r"holds no file like train/\*"):
        fetch(replace(PARQUET, get=Get("huggingface", repo="kind/pets", files=("train/*",))), root, Told())


def test_a_folder_that_is_there_is_refused_before_anything_is_fetched(pets, root):
    (root / "pets").mkdir()
    with pytest.raises(DataError, match="is there already, and is never overwritten"):
        fetch(PARQUET, root, Told())
    assert not pets.asked
    assert [p.name for p in root.iterdir()] == ["pets"]


# ---------------------------------------------------------------------------------- plain addresses


@pytest.fixture
def pack(server):
    """`pack(names)`: a family whose one archive holds these files, at an address of the server."""

    def make(names: dict[str, bytes], url: str = "/files/pets.tar.gz", digest: bool = True) -> Family:
        data = packed(names)
        server.files[url.split("?")[0]] = data
        archives = (Archive("pets.tar.gz", md5=hashlib.md5(data).hexdigest()),) if digest else ()
        return family(Get("address", urls=(server.url + url,)), archives=archives)

    return make


@pytest.mark.parametrize("url", ["/files/pets.tar.gz", "/records/1/files/pets.tar.gz/content?download=1"])
def test_an_archive_at_an_address(pack, root, url):
    told = Told()
    done = fetch(pack({f"pets/{name}": data for name, data in PETS.items()}, url), root, told)
    assert (done.folders, done.unchecked) == ((root / "pets",), ())
    assert tree(root) == {f"pets/{name}": data for name, data in PETS.items()}
    assert all(total == shown for total, shown in told.stages.values()), "progress ends where it should"


def test_an_archive_without_a_folder_of_its_own_gets_one(pack, root):
    fetch(pack(PETS | {"LICENSE": b"CC0"}), root, Told())
    assert tree(root) == {f"pets/{name}": data for name, data in (PETS | {"LICENSE": b"CC0"}).items()}


def test_a_licence_beside_the_folder_goes_with_it(pack, root):
    fetch(pack({f"pets/{name}": data for name, data in PETS.items()} | {"LICENSE": b"CC0"}), root, Told())
    assert tree(root) == {f"pets/{name}": data for name, data in PETS.items()} | {"pets/LICENSE": b"CC0"}


def test_several_archives_are_joined(server, root):
    for kind in ("cat", "dog"):
        server.files[f"/{kind}.zip"] = packed({f"pets/{n}": d for n, d in PETS.items() if n.startswith(kind)}, "zip")
    urls = tuple(f"{server.url}/{kind}.zip" for kind in ("cat", "dog"))
    done = fetch(family(Get("address", urls=urls)), root, Told())
    assert tree(root / "pets") == PETS
    assert done.unchecked == ("cat.zip", "dog.zip"), "nobody published their digests"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_archive_goes_on(pack, server, root, ranges):
    """Twice cut: once inside a run, once so that the run ends; the next run goes on from there if the server can."""
    wanted = pack({f"pets/{name}": data + os.urandom(3000) for name, data in PETS.items()})
    url, whole = "/files/pets.tar.gz", len(server.files["/files/pets.tar.gz"])
    server.ranges = ranges
    server.cut[url] = [1000, 0] if ranges else [1000, 900]
    with pytest.raises(DataError, match="the connection was cut after") as error:
        fetch(wanted, root, Told())
    assert "same command" in error.value.hint
    assert occurrences(wanted, root) == []
    server.asked.clear()
    told = Told()
    fetch(wanted, root, told)
    assert [ranges for _, _, ranges in server.asked] == [f"bytes={1000 if ranges else 900}-"]
    assert told.stages["pets.tar.gz"] == [whole, whole]
    assert len(tree(root / "pets")) == 4


def test_an_archive_cut_after_its_last_byte_is_whole(pack, server, root):
    wanted = pack({f"pets/{name}": data for name, data in PETS.items()})
    down = staging(wanted, root) / "down"
    down.mkdir(parents=True)
    (down / "pets.tar.gz.part").write_bytes(server.files["/files/pets.tar.gz"])
    fetch(wanted, root, Told())
    assert tree(root / "pets") == PETS


def test_another_digest_is_one_line_and_the_file_is_removed(pack, server, root):
    wanted = pack({f"pets/{name}": data for name, data in PETS.items()})
    server.corrupt.add("/files/pets.tar.gz")
    with pytest.raises(DataError, match=r"^pets\.tar\.gz arrived damaged"):
        fetch(wanted, root, Told())
    assert not tree(root)
    server.corrupt.clear()
    fetch(wanted, root, Told())
    assert tree(root / "pets") == PETS


def test_a_refusal_is_not_asked_twice(server, root):
    with pytest.raises(DataError, match="404"):
        fetch(family(Get("address", urls=(f"{server.url}/gone.zip",))), root, Told())
    assert len(server.asked) == 1
    assert not list(root.iterdir())


def test_a_file_of_this_machine_is_no_address(root, tmp_path):
    (tmp_path / "own.zip").write_bytes(packed(PETS, "zip"))
    with pytest.raises(DataError, match="no address of the web"):
        fetch(family(Get("address", urls=(f"file://{tmp_path}/own.zip",))), root, Told())


def test_an_archive_that_leads_out_leaves_nothing(pack, root):
    wanted = pack({"pets/cat/1.jpg": JPEG, "../../evil.jpg": JPEG})
    with pytest.raises(DataError, match="refused"):
        fetch(wanted, root, Told())
    assert {p.name for p in root.iterdir()} == {staging(wanted, root).name}
    assert not (root.parent / "evil.jpg").exists()
    assert occurrences(wanted, root) == []


def test_an_archives_folder_that_is_there_already_is_left_alone(pack, server, root):
    wanted = pack({f"pets/{name}": data for name, data in PETS.items()})
    (root / "pets").mkdir()
    (root / "pets/mine.txt").write_text("mine")
    with pytest.raises(DataError, match="never overwritten"):
        fetch(wanted, root, Told())
    assert tree(root / "pets") == {"mine.txt": b"mine"}
    (root / "pets").rename(root / "old")
    server.asked.clear()
    fetch(wanted, root, Told())
    assert not server.asked, "what was fetched is still there"
    assert tree(root / "pets") == PETS


def test_a_folder_that_cannot_be_written_is_one_line(pack, root, monkeypatch):
    def refuse(self, *arguments, **named):
        raise PermissionError(13, "Permission denied")

    wanted = pack(PETS)
    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write everywhere, so the system would not refuse
    with pytest.raises(DataError, match=r"cannot write into .*: Permission denied"):
        fetch(wanted, root, Told())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a/b/c.tar", "c.tar"),
        ("http://a/files/NINCO_all.tar.gz/content?download=1", "NINCO_all.tar.gz"),
        ("http://a/x%20y.zip", "x y.zip"),
        ("http://a/b/..", "b"),
        ("http://a/b%2F..%2F..%2Fetc/x.tar", "x.tar"),
        ("http://a", "file"),
    ],
)
def test_the_name_of_an_address_is_a_files(url, name):
    assert sources.name_of(url) == name


# ------------------------------------------------------------------------------------- torchvision


def test_torchvisions_own_downloader(server, root, monkeypatch):
    """DTD as torchvision fetches it, from here."""
    from torchvision.datasets import DTD

    inside = {f"dtd/images/{kind}/{kind}_{i}.jpg": JPEG for kind in ("banded", "dotted") for i in range(2)}
    labels = {f"dtd/labels/{s}1.txt": b"banded/banded_0.jpg\ndotted/dotted_0.jpg\n" for s in ("train", "val", "test")}
    data = packed(inside | labels)
    server.files["/dtd-r1.0.1.tar.gz"] = data
    monkeypatch.setattr(DTD, "_URL", f"{server.url}/dtd-r1.0.1.tar.gz")
    monkeypatch.setattr(DTD, "_MD5", hashlib.md5(data).hexdigest())
    dtd = family(
        Get("torchvision", dataset="DTD"),
        Layout("torchvision", "folders", ("dtd/dtd",), folder="images"),
        classes=("banded", "dotted"),
    )
    done = fetch(dtd, root, Told())
    assert done.folders == (root / "dtd",)
    assert {name for name in tree(root) if name.endswith(".jpg")} == {f"dtd/{name}" for name in inside}
    assert not list(root.rglob("*.gz")), "the archive is not kept beside what was in it"
    monkeypatch.setattr(DTD, "_MD5", "0" * 32)
    (root / "dtd").rename(root / "old")
    with pytest.raises(DataError, match="torchvision's DTD: File not found or corrupted"):
        fetch(dtd, root, Told())
    assert occurrences(dtd, root) == []


def test_torchvision_without_such_a_set_suggests_one(root):
    with pytest.raises(UsageError, match="Did you mean 'DTD'"):
        fetch(family(Get("torchvision", dataset="DTDs"), Layout("x", "folders")), root, Told())


def test_torchvision_without_a_server_is_one_line(root, monkeypatch):
    from torchvision.datasets import DTD

    monkeypatch.setattr(DTD, "_URL", "http://127.0.0.1:9/dtd.tar.gz")
    with pytest.raises(CroftbenchError, match=r"torchvision's source of DTD: .*refused"):
        fetch(family(Get("torchvision", dataset="DTD"), Layout("x", "folders")), root, Told())
