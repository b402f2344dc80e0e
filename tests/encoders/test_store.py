"""The feature store: right, remembered, resumable after a kill, and safe to fill twice at once."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from croftbench import encoders
from croftbench.data import images
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.encoders import transforms
from croftbench.encoders.store import FeatureStore
from croftbench.errors import DataError
from croftbench.suites.manifest import suite
from croftbench.suites.registry import family
from tests.layouts import build, reduced


@pytest.fixture(scope="module")
def encoder():
    return encoders.load(encoders.EMBEDDED)


@pytest.fixture(scope="module")
def pool():
    """Forty glyphs of several styles."""
    rows = Roots().rows("emoji")
    return Pool("forty", "emoji", tuple(row.path for row in rows[::211]), family("emoji").content)


@pytest.fixture
def protocol():
    return suite("emoji-open").protocol


def loaded(encoder, counter=None):
    def load():
        if counter is not None:
            counter.append(1)
        return encoder

    return load


def never():
    raise AssertionError("a full hit must not load the encoder")


def test_features_are_what_the_encoder_gives(tmp_path, encoder, pool):
    found = FeatureStore(tmp_path, encoder.identity, loaded(encoder)).test(pool)
    transform = transforms.test(encoder.identity)
    read = Roots().reader("emoji")
    pixels = torch.stack([transform(images.decode(read(path), path).image) for path in pool.paths])
    expected = encoder.encode_images(pixels).numpy()
    assert isinstance(found, np.memmap)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_second_store_reads_without_loading_the_encoder(tmp_path, encoder, pool, protocol):
    first = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    second = FeatureStore(tmp_path, encoder.identity, never)
    assert np.array_equal(first.test(pool), second.test(pool))
    assert np.array_equal(first.views(pool, protocol, 2), second.views(pool, protocol, 2))
    assert np.array_equal(first.text(["a cat.", "a dog."]), second.text(["a cat.", "a dog."]))


def test_text_is_what_the_encoder_gives(tmp_path, encoder):
    prompts = ["an emoji of a cat.", "a violin."]
    found = FeatureStore(tmp_path, encoder.identity, loaded(encoder)).text(prompts)
    assert np.allclose(found, encoder.encode_texts(prompts).numpy(), atol=1e-6)


def test_every_thing_that_changes_the_bytes_changes_the_key(tmp_path, encoder, pool, protocol):
    store = FeatureStore(tmp_path, encoder.identity, never)
    store.encoder = loaded(encoder)
    store.test(pool)
    store.encoder = never
    others = [
        replace(pool, content="other pixels"),
        replace(pool, paths=pool.paths[::-1]),
        replace(pool, paths=pool.paths[:-1]),
    ]
    for other in others:
        with pytest.raises(AssertionError, match="must not load"):
            store.test(other)
    for changed in ({"weights_digest": "0" * 64}, {"mean": (0.1, 0.2, 0.3)}, {"config_digest": "0"}):
        with pytest.raises(AssertionError, match="must not load"):
            FeatureStore(tmp_path, replace(encoder.identity, **changed), never).test(pool)
    with pytest.raises(AssertionError, match="must not load"):
        store.views(pool, protocol, 1)


def test_views_differ_are_reused_and_belong_to_the_image(tmp_path, encoder, pool, protocol):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    two = store.views(pool, protocol, 2)
    assert not np.allclose(two[0], two[1], atol=1e-3)
    assert np.array_equal(store.views(pool, protocol, 4)[:2], two)
    # the same image in another pool gets the same views, to the last bit
    part = replace(pool, name="part", paths=pool.paths[5:9])
    assert np.array_equal(store.views(part, protocol, 2), two[:, 5:9])


def test_one_decode_serves_all_views_of_an_image(tmp_path, encoder, pool, protocol, monkeypatch):
    decoded, decode = [], images.decode
    monkeypatch.setattr(images, "decode", lambda data, where: decoded.append(where) or decode(data, where))
    FeatureStore(tmp_path, encoder.identity, loaded(encoder)).views(pool, protocol, 5)
    assert len(decoded) == len(pool.paths)


DIGITS = Pool("digits", "digits", tuple(f"{i:04d}" for i in range(1797)), "digits")
FILL = """
import sys
from pathlib import Path
from croftbench import encoders
from croftbench.encoders.store import FeatureStore
from croftbench.data.pool import Pool
pool = Pool("digits", "digits", tuple(f"{i:04d}" for i in range(1797)), "digits")
encoder = encoders.load(encoders.EMBEDDED)
done = []
def advance(n):
    done.append(n)
    print(sum(done), flush=True)
print("ready", flush=True)
FeatureStore(Path(sys.argv[1]), encoder.identity, lambda: encoder).test(pool, advance)
print("filled", flush=True)
"""


def filler(folder):
    return subprocess.Popen([sys.executable, "-c", FILL, str(folder)], stdout=subprocess.PIPE, text=True)


def test_a_killed_fill_leaves_no_entry_and_is_resumed(tmp_path, encoder):
    process = filler(tmp_path)
    for line in process.stdout:
        if line.strip().isdigit() and int(line) >= 512:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    assert not list((tmp_path / "features").glob("*.npy"))
    resumed = []
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    found = store.test(DIGITS, resumed.append)
    assert resumed[0] >= 512, "blocks that were written are not encoded again"
    fresh = FeatureStore(tmp_path / "fresh", encoder.identity, loaded(encoder)).test(DIGITS)
    assert np.array_equal(found, fresh)
    assert not list(tmp_path.rglob("*.partial"))


def test_two_processes_may_fill_one_entry_at_once(tmp_path, encoder):
    processes = [filler(tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all("filled" in output for output in outputs)
    (entry,) = (tmp_path / "features").glob("*.npy")
    assert np.load(entry).shape == (1797, 256)
    time.sleep(0.1)
    assert not [path for path in (tmp_path / "features").iterdir() if path != entry]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, encoder, pool):
    (tmp_path / "features").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot write ") as caught:
        FeatureStore(tmp_path, encoder.identity, loaded(encoder)).test(pool)
    assert "--cache" in str(caught.value)
    assert "\n" not in str(caught.value)


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:100],
    "half zeroed, as after a power cut": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "one bit": lambda data: data[:5000] + bytes([data[5000] ^ 4]) + data[5001:],
    "its header": lambda data: data.replace(b"(40,", b"(04,", 1),
    "the digests": lambda data: data[:-50] + bytes([data[-50] ^ 1]) + data[-49:],
    "the length": lambda data: data[:-1] + b"\x7f",
    "of NumPy, without digests": lambda data: data[: 128 + 40 * 256 * 4],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_made_again_and_it_is_said(tmp_path, encoder, pool, damage, caplog):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    right = np.array(store.test(pool))
    (entry,) = (tmp_path / "features").glob("*.npy")
    whole = entry.read_bytes()
    entry.write_bytes(DAMAGE[damage](whole))
    assert np.array_equal(store.test(pool), right)
    assert entry.read_bytes() == whole
    (said,) = caplog.messages
    assert str(entry) in said
    assert "is damaged and is made again" in said
    assert "\n" not in said


def test_damaged_views_texts_and_blocks_are_made_again(tmp_path, encoder, pool, protocol, caplog):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    prompts = ["a cat.", "a dog."]
    right = store.views(pool, protocol, 2), np.array(store.text(prompts))
    entries = sorted((tmp_path / "features").glob("*.npy"))
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:-60] + bytes(60))
    assert np.array_equal(store.views(pool, protocol, 2), right[0])
    assert np.array_equal(store.text(prompts), right[1])
    assert len(caplog.messages) == len(entries) == 3


def test_a_damaged_block_of_a_killed_fill_is_encoded_again(tmp_path, encoder, caplog, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(FeatureStore, "_join", stop)
        store.test(DIGITS)
    empty, cut, *_ = sorted(tmp_path.rglob("*.partial/*.npy"))
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:1000])
    fresh = FeatureStore(tmp_path / "fresh", encoder.identity, loaded(encoder)).test(DIGITS)
    assert np.array_equal(store.test(DIGITS), fresh)
    assert len(caplog.messages) == 2


def test_places_are_checked_a_block_at_a_time_and_made_again_when_one_is_damaged(tmp_path, encoder, pool, caplog):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    right = np.array(store.test_patches(pool).places)
    (entry,) = [path for path in (tmp_path / "features").glob("*.npy") if np.load(path).dtype == np.float16]
    with entry.open("r+b") as file:
        file.seek(60_000)
        byte = file.read(1)
        file.seek(60_000)
        file.write(bytes([byte[0] ^ 1]))
    rows = np.array([39, 0])
    assert np.array_equal(store.test_patches(pool).read(rows)[:, 1:], right[rows].astype(np.float32))
    assert len(caplog.messages) == 1


def test_an_entry_that_stays_damaged_is_an_error(tmp_path, encoder, pool, monkeypatch):
    """As in a cache that may not be written to: nothing can be made again."""
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    store.test(pool)
    (entry,) = (tmp_path / "features").glob("*.npy")
    entry.write_bytes(b"")
    monkeypatch.setattr(type(entry), "unlink", lambda self: (_ for _ in ()).throw(PermissionError(13, "denied")))
    with pytest.raises(DataError, match="is damaged: it is empty"):
        store.test(pool)


def test_changed_weights_never_fill_entries_of_the_old_ones(tmp_path, encoder, pool):
    """A file whose bytes rot keeps its time and size: the record still holds, but what is loaded is another encoder."""
    recorded = replace(encoder.identity, weights_digest="0" * 64)
    with pytest.raises(DataError, match=f"weights of {encoder.id} are not those"):
        FeatureStore(tmp_path, recorded, loaded(encoder)).test(pool)
    assert not list(tmp_path.rglob("*.npy"))


def test_an_unreadable_image_is_named(tmp_path, encoder, pool, monkeypatch):
    read = Roots().reader("emoji")
    roots = Roots()
    monkeypatch.setattr(roots, "reader", lambda table: lambda path: read(path)[: 50 if path == pool.paths[3] else None])
    with pytest.raises(DataError, match=f"cannot read image forty: {pool.paths[3]}"):
        FeatureStore(tmp_path, encoder.identity, loaded(encoder), roots).test(pool)
    assert not list(tmp_path.rglob("*.npy"))


def test_places_are_those_of_the_encoder_in_half_precision_beside_the_feature_itself(tmp_path, encoder, pool, protocol):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    view = store.test_patches(pool)
    assert isinstance(view.whole, np.memmap)
    assert (view.places.dtype, view.places.shape) == (np.float16, (40, 16, 256))
    assert np.array_equal(view.whole, store.test(pool))
    transform = transforms.test(encoder.identity)
    read = Roots().reader("emoji")
    pixels = torch.stack([transform(images.decode(read(path), path).image) for path in pool.paths])
    expected = encoder.encode_patches(pixels)[:, 1:]
    assert np.allclose(view.places, expected.numpy(), rtol=1e-3, atol=1e-4)

    cosines = (
        torch.nn.functional.cosine_similarity(torch.tensor(np.array(places)).float(), torch.ones(256), dim=-1)
        for places in (view.places, expected.numpy())
    )
    assert (next(cosines) - next(cosines)).abs().max() < 1e-4
    two = store.view_patches(pool, protocol, 2)
    assert np.array_equal(np.stack([view.whole for view in two]), store.views(pool, protocol, 2))
    assert not np.allclose(two[0].places, two[1].places, atol=1e-2)
    second = FeatureStore(tmp_path, encoder.identity, never)
    assert np.array_equal(second.view_patches(pool, protocol, 1)[0].places, two[0].places)


def test_a_place_too_large_for_half_precision_is_an_error(tmp_path, encoder, pool, monkeypatch):
    monkeypatch.setattr(type(encoder), "encode_patches", lambda self, pixels: torch.full((len(pixels), 5, 256), 1e6))
    with pytest.raises(DataError, match="half precision"):
        FeatureStore(tmp_path, encoder.identity, loaded(encoder)).test_patches(pool)


def test_entries_are_plain_numpy_files_with_digests_behind(tmp_path, encoder, pool):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    found = np.array(store.test(pool))
    (entry,) = (tmp_path / "features").glob("*.npy")
    np.save(tmp_path / "plain.npy", found)
    plain = (tmp_path / "plain.npy").read_bytes()
    digests = hashlib.sha256(plain).digest()
    length = len(plain).to_bytes(8, "little")
    assert entry.read_bytes() == plain + digests + hashlib.sha256(digests + length).digest() + length
    assert np.array_equal(np.load(entry), found)


@pytest.fixture
def disk(tmp_path):
    """A data folder with a few pictures of a family, and the pool that they make."""
    data = tmp_path / "data"
    data.mkdir()
    build(data, family("pacs", reduced(tmp_path / "manifests", images=1)), "domainbed", ["photo"])
    roots = Roots(data, tmp_path / "manifests")
    return roots, Pool("pacs/photo", "pacs", roots.split("pacs/photo").paths, "")


def test_files_on_disk_are_encoded_anew_when_they_change(tmp_path, encoder, disk, protocol):
    roots, pool = disk
    first = FeatureStore(tmp_path, encoder.identity, loaded(encoder), roots).test(pool).copy()
    again = FeatureStore(tmp_path, encoder.identity, never, roots)
    assert np.array_equal(again.test(pool), first)
    image, other = (roots.data / path for path in pool.paths[:2])
    image.write_bytes(other.read_bytes())
    with pytest.raises(AssertionError, match="must not load"):
        again.test(pool)
    changed = FeatureStore(tmp_path, encoder.identity, loaded(encoder), roots).test(pool)
    assert np.array_equal(changed[0], first[1])
    assert np.array_equal(changed[1:], first[1:])


def test_a_view_of_a_file_does_not_depend_on_the_others_in_its_pool(tmp_path, encoder, disk, protocol):
    roots, pool = disk
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder), roots)
    part = replace(pool, name="part", paths=pool.paths[2:5])
    assert np.array_equal(store.views(part, protocol, 2), store.views(pool, protocol, 2)[:, 2:5])


def test_a_file_that_went_away_is_named(tmp_path, encoder, disk):
    roots, pool = disk
    (roots.data / pool.paths[1]).unlink()
    with pytest.raises(DataError, match=f"cannot read image {pool.paths[1]}"):
        FeatureStore(tmp_path, encoder.identity, never, roots).test(pool)
