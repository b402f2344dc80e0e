"""Pool -> pixels: decoding and transforms in threads, several views from one decode."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from PIL import Image
from torch import Tensor

from croftbench.data.decoding import decode, quiet
from croftbench.data.pool import Pool

Transform = Callable[[Image.Image], Tensor]
"""An image -> (3, H, W) uint8."""

TOGETHER = 8
"""Images that one thread decodes at a time; fewer where a block has not so many for each thread."""


def blocks(
    pool: Pool,
    starts: Iterable[int],
    size: int,
    transforms: Callable[[int, bytes], Sequence[Transform]],
    read: Callable[[str], bytes],
    remark: Callable[[str], None] = lambda remark: None,
) -> Iterator[tuple[int, Tensor]]:
    """Decode a pool block by block, in threads, one block ahead of the consumer.

    Args:
        pool: the images.
        starts: first image of each wanted block, asked for when there is room for it.
        size: images per block; the pool's last block may be shorter.
        transforms: position in the pool and encoded bytes -> the views' transforms; all of them share one decode.
        read: path -> encoded bytes, see `roots.Roots.reader`.
        remark: told, image by image, of what other loaders may do differently (see `decoding`).

    Yields:
        (start, (V, B, 3, H, W) as the transforms give them).

    Raises:
        DataError: an image cannot be read.
    """

    def views(positions: range) -> tuple[Tensor, list[str]]:
        """(V, B, 3, H, W) and remarks of a few images: a task for each would cost a tenth of its decoding."""
        decoded, remarks = [], list[str]()
        for position in positions:
            path = pool.paths[position]
            data = read(path)
            picture = decode(data, f"{pool.name}: {path}")
            decoded.append(torch.stack([transform(picture.image) for transform in transforms(position, data)]))
            remarks += picture.remarks
        return torch.stack(decoded, dim=1), remarks

    workers = min(32, os.cpu_count() or 1)
    together = max(1, min(TOGETHER, size // workers))

    def submit(start: int) -> tuple[int, list[Future[tuple[Tensor, list[str]]]]]:
        block = range(start, min(start + size, len(pool.paths)))
        return start, [threads.submit(views, block[i : i + together]) for i in range(0, len(block), together)]

    with quiet(), ThreadPoolExecutor(workers) as threads:
        try:
            rest = iter(starts)
            ahead = deque(map(submit, islice(rest, 2)))
            while ahead:
                start, futures = ahead.popleft()
                done = [future.result() for future in futures]
                for one in (one for _, remarks in done for one in remarks):
                    remark(one)
                pixels = torch.cat([views for views, _ in done], dim=1)
                ahead.extend(map(submit, islice(rest, 1)))
                yield start, pixels
        finally:
            threads.shutdown(cancel_futures=True)
