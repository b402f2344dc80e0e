"""The shipped images are the ones that the manifest describes."""

import hashlib
import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from croftbench.data.roots import Roots
from croftbench.data.scan import shipped
from croftbench.errors import DataError
from croftbench.suites.registry import family

EMOJI = family("emoji").layouts[0]


def test_the_pixels_have_the_digest_that_the_recipe_printed():
    """Recomputed from decoded images, as tools/emoji/images.py does."""
    table = pq.read_table(shipped.file_of(EMOJI.file))
    content = hashlib.sha256()
    for row in table.to_pylist():
        pixels = Image.open(io.BytesIO(row["image"]))
        assert pixels.size == (64, 64)
        content.update("\t".join(v for k, v in row.items() if k != "image").encode() + pixels.convert("RGB").tobytes())
    assert content.hexdigest() == table.schema.metadata[b"digest"].decode()


def test_a_glyph_is_the_same_object_in_every_style():
    names = {}
    for row in Roots().rows("emoji"):
        names.setdefault(row.path.split("/")[1], set()).add((row.name, row.group, row.subgroup))
    assert len(names) == 1051
    assert all(len(same) == 1 for same in names.values())


def test_digits_are_dark_on_white_scans():
    read = Roots().reader("digits")
    pixels = np.asarray(Image.open(io.BytesIO(read("0000"))))
    assert pixels.shape == (8, 8)
    assert pixels[0, 0] == 255
    assert pixels.min() < 64


def test_another_file_than_the_manifests_is_refused(monkeypatch, tmp_path):
    fake = tmp_path / "images.parquet"
    fake.write_bytes(b"PAR1")
    monkeypatch.setattr(shipped, "file_of", lambda file: fake)
    shipped._parquet.cache_clear()
    with pytest.raises(DataError, match="the manifest says"):
        Roots().split("emoji/noto")
    shipped._parquet.cache_clear()


def test_the_table_ships_within_its_budget():
    assert shipped.file_of(EMOJI.file).stat().st_size < 16e6


@pytest.mark.parametrize("name", ["emoji", "digits"])
def test_what_ships_is_complete_without_a_data_folder(name):
    roots = Roots()
    parts = family(name).parts
    for part in parts:
        assert roots.split(family(name).split_id(part.name)).verdict.state == "complete"
    assert len(roots.rows(name)) == sum(part.images for part in parts)
