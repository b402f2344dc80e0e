"""Pool -> pixels: decoding and transforms, several views from one decode."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from PIL import Image
from torch import Tensor

from croftbench.data.pool import Pool
from croftbench.errors import DataError

Transform = Callable[[Image.Image], Tensor]
"""An image -> (3, H, W) float32."""


def decode(data: bytes, where: str) -> Image.Image:
    """RGB image from encoded bytes; transparency is laid on white.

    Raises:
        DataError: the bytes are not a complete image; `where` names it.
    """
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read image {where}: {error}.", "Replace the file or leave it out.") from error
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def blocks(
    pool: Pool,
    starts: Sequence[int],
    size: int,
    transforms: Callable[[int, bytes], Sequence[Transform]],
    read: Callable[[str], bytes],
) -> Iterator[tuple[int, Tensor]]:
    """Decode a pool block by block, in threads, one block ahead of the consumer.

    Args:
        pool: the images.
        starts: first image of each wanted block.
        size: images per block; the pool's last block may be shorter.
        transforms: position in the pool and encoded bytes -> the views' transforms; all of them share one decode.
        read: path -> encoded bytes, see `roots.Roots.reader`.

    Yields:
        (start, (V, B, 3, H, W) float32).

    Raises:
        DataError: an image cannot be read.
    """

    def views(position: int) -> Tensor:
        path = pool.paths[position]
        data = read(path)
        image = decode(data, f"{pool.name}: {path}")
        return torch.stack([transform(image) for transform in transforms(position, data)])

    def submit(start: int) -> tuple[int, list[Future[Tensor]]]:
        return start, [threads.submit(views, i) for i in range(start, min(start + size, len(pool.paths)))]

    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as threads:
        try:
            ahead, rest = deque(map(submit, starts[:2])), iter(starts[2:])
            while ahead:
                start, futures = ahead.popleft()
                pixels = torch.stack([future.result() for future in futures], dim=1)
                ahead.extend(map(submit, islice(rest, 1)))
                yield start, pixels
        finally:
            threads.shutdown(cancel_futures=True)
