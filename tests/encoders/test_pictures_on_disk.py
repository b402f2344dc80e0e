"""Features of files on a user's disk: what others may read differently is said once, and the rules are in the keys."""

import numpy as np
import pytest
from PIL import Image

from croftbench import encoders
from croftbench.data import decoding
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.encoders.store import FeatureStore
from croftbench.suites import manifest


@pytest.fixture(scope="module")
def encoder(cache):
    return encoders.load(encoders.EMBEDDED, cache=cache)


@pytest.fixture
def pool(tmp_path):
    """Three pictures, of which two say the same in other depths and one has ink for colours."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.new("CMYK", (16, 16)).save(tmp_path / "ink.jpg")
    return Pool("mine", "pacs", ("8.png", "16.png", "ink.jpg"), "")


def never():
    raise AssertionError("the encoder is asked for")


def test_what_others_read_differently_is_said_once(tmp_path, encoder, pool):
    told = []
    store = FeatureStore(tmp_path / "cache", encoder.identity, lambda: encoder, Roots(tmp_path), told.append)
    features = store.test(pool)
    assert np.array_equal(features[0], features[1])
    assert sorted(line[:27] for line in told) == ["mine: 1 picture in CMYK: co", "mine: 1 picture of more tha"]
    store.test_patches(pool)
    assert len(told) == 2


def test_other_rules_encode_files_again_and_leave_shipped_pictures(tmp_path, encoder, pool, monkeypatch):
    emoji = Pool("few", "emoji", Roots().split("emoji/noto").paths[:3], Roots().split("emoji/noto").family.content)
    for one in (pool, emoji):
        FeatureStore(tmp_path / "cache", encoder.identity, lambda: encoder, Roots(tmp_path)).test(one)
    again = FeatureStore(tmp_path / "cache", encoder.identity, never, Roots(tmp_path))
    again.test(pool)
    monkeypatch.setattr(decoding, "RULES", "pictures 2")
    again.test(emoji)
    with pytest.raises(AssertionError, match="is asked for"):
        again.test(pool)


def test_training_views_are_the_same_wherever_a_file_lies(tmp_path, encoder, pool):
    (tmp_path / "other/layout").mkdir(parents=True)
    (tmp_path / "other/layout/0001.png").write_bytes((tmp_path / "8.png").read_bytes())
    moved = Pool("elsewhere", "pacs", ("other/layout/0001.png",), "")
    store = FeatureStore(tmp_path / "cache", encoder.identity, lambda: encoder, Roots(tmp_path))
    protocol = manifest.suite("emoji-open").protocol
    assert np.array_equal(store.views(moved, protocol, 3)[:, 0], store.views(pool, protocol, 3)[:, 0])
