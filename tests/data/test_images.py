"""Decoding: every shape of picture becomes RGB, and a broken one is named."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from croftbench.data import images
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.errors import DataError


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "I;16"])
def test_any_mode_becomes_rgb(mode):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    image = images.decode(encoded(Image.new(mode, (5, 4)), kind), "x")
    assert (image.mode, image.size) == ("RGB", (5, 4))


def test_transparency_is_laid_on_white():
    image = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    assert np.asarray(images.decode(encoded(image), "x")).min() == 255


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_named_in_one_line(kind):
    data = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), kind)
    with pytest.raises(DataError, match="cannot read image birds/7") as caught:
        images.decode(data[: len(data) // 2], "birds/7")
    assert "\n" not in str(caught.value)


def test_blocks_come_in_order_and_views_share_an_image():
    roots = Roots()
    pool = Pool("digits", "digits", roots.split("digits").paths, "")

    def pixels(image):
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()

    def views(position, data):
        return [pixels, lambda image: pixels(image) + position]

    seen = list(images.blocks(pool, [0, 8, 1792], 8, views, roots.reader("digits")))
    assert [start for start, _ in seen] == [0, 8, 1792]
    assert [tuple(x.shape) for _, x in seen] == [(2, 8, 3, 8, 8), (2, 8, 3, 8, 8), (2, 5, 3, 8, 8)]
    start, x = seen[1]
    for i in range(8):
        assert torch.equal(x[1, i], x[0, i] + start + i)
