"""The feature store: right, remembered, resumable after a kill, and safe to fill twice at once."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from croftbench import encoders, images
from croftbench.datasets.draw import whole
from croftbench.encoders import transforms
from croftbench.errors import DataError
from croftbench.features import FeatureStore
from croftbench.manifest import suite
from croftbench.specs import Pool


@pytest.fixture(scope="module")
def encoder():
    return encoders.load(encoders.EMBEDDED)


@pytest.fixture(scope="module")
def pool():
    """Forty glyphs of several styles."""
    table = whole("emoji")
    return Pool("forty", "emoji", table.paths[::211], table.content)


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
    read = images.image_bytes("emoji")
    pixels = torch.stack([transform(images.decode(read(path), path)) for path in pool.paths])
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
    for changed in ({"weights_digest": "0" * 64}, {"mean": (0.5, 0.5, 0.5)}, {"config_digest": "0"}):
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


FILL = """
import sys
from pathlib import Path
from croftbench import encoders
from croftbench.datasets.draw import whole
from croftbench.features import FeatureStore
encoder = encoders.load(encoders.EMBEDDED)
done = []
def advance(n):
    done.append(n)
    print(sum(done), flush=True)
print("ready", flush=True)
FeatureStore(Path(sys.argv[1]), encoder.identity, lambda: encoder).test(whole("digits"), advance)
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
    found = store.test(whole("digits"), resumed.append)
    assert resumed[0] >= 512, "blocks that were written are not encoded again"
    fresh = FeatureStore(tmp_path / "fresh", encoder.identity, loaded(encoder)).test(whole("digits"))
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
    with pytest.raises(DataError, match="cannot write the cache") as caught:
        FeatureStore(tmp_path, encoder.identity, loaded(encoder)).test(pool)
    assert "--cache" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_entry_is_named(tmp_path, encoder, pool):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    store.test(pool)
    (entry,) = (tmp_path / "features").glob("*.npy")
    entry.write_bytes(entry.read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged"):
        store.test(pool)


def test_an_unreadable_image_is_named(tmp_path, encoder, pool, monkeypatch):
    read = images.image_bytes("emoji")
    monkeypatch.setattr(
        images, "image_bytes", lambda table: lambda path: read(path)[: 50 if path == pool.paths[3] else None]
    )
    with pytest.raises(DataError, match=f"cannot read image forty: {pool.paths[3]}"):
        FeatureStore(tmp_path, encoder.identity, loaded(encoder)).test(pool)
    assert not list(tmp_path.rglob("*.npy"))


def test_places_are_those_of_the_encoder_in_half_precision_beside_the_feature_itself(tmp_path, encoder, pool, protocol):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    view = store.test_patches(pool)
    assert isinstance(view.whole, np.memmap)
    assert isinstance(view.places, np.memmap)
    assert (view.places.dtype, view.places.shape) == (np.float16, (40, 4, 256))
    assert np.array_equal(view.whole, store.test(pool))
    transform = transforms.test(encoder.identity)
    read = images.image_bytes("emoji")
    pixels = torch.stack([transform(images.decode(read(path), path)) for path in pool.paths])
    expected = encoder.encode_patches(pixels)[:, 1:]
    assert np.allclose(view.places, expected.numpy(), rtol=1e-3, atol=1e-4)

    cosines = (
        torch.nn.functional.cosine_similarity(torch.tensor(places).float(), torch.ones(256), dim=-1)
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


def test_entries_are_plain_numpy_files(tmp_path, encoder, pool):
    store = FeatureStore(tmp_path, encoder.identity, loaded(encoder))
    found = np.array(store.test(pool))
    (entry,) = (tmp_path / "features").glob("*.npy")
    np.save(tmp_path / "plain.npy", found)
    assert entry.read_bytes() == (tmp_path / "plain.npy").read_bytes()
