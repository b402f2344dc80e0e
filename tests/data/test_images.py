"""Pools become blocks of pixels, in order, and what was remarked of their files is told."""

import io

import numpy as np
import torch
from PIL import Image

from croftbench.data import images
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots


def pixels(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def test_blocks_come_in_order_and_views_share_an_image():
    roots = Roots()
    pool = Pool("digits", "digits", roots.split("digits").paths, "")

    def views(position, data):
        return [pixels, lambda image: pixels(image) + position]

    seen = list(images.blocks(pool, [0, 8, 1792], 8, views, roots.reader("digits")))
    assert [start for start, _ in seen] == [0, 8, 1792]
    assert [tuple(x.shape) for _, x in seen] == [(2, 8, 3, 8, 8), (2, 8, 3, 8, 8), (2, 5, 3, 8, 8)]
    start, x = seen[1]
    for i in range(8):
        assert torch.equal(x[1, i], x[0, i] + start + i)


def test_remarks_are_told_for_every_file():
    buffer = io.BytesIO()
    Image.new("CMYK", (4, 4)).save(buffer, "JPEG")
    pool, told = Pool("mine", "mine", ("a", "b", "c"), ""), []
    list(images.blocks(pool, [0, 2], 2, lambda *_: [pixels], lambda path: buffer.getvalue(), told.append))
    assert [remark[:7] for remark in told] == ["in CMYK"] * 3
