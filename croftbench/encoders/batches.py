"""Blocks of pixels -> blocks of features, in batches of one size; on a CPU several blocks at once.

Small convolutions on few images do not fill many threads: the shipped tower makes 190 images a second in one thread
and 300 in two. So a CPU's threads are shared out to streams. It follows that a feature hardly ever depends on how many
threads there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from croftbench.errors import DataError

if TYPE_CHECKING:
    from croftbench.encoders.clip import Encoder

__all__ = ["AHEAD", "BLOCK", "PLACES", "UNPROJECTED", "UNPROJECTED_PLACES", "WHOLE", "encoded", "streams_on"]

Array = npt.NDArray[Any]

BLOCK = 256
"""Views decoded together and written together, and encoded together on a GPU: the bound on memory, whatever the number
of views."""

PLACES, UNPROJECTED, UNPROJECTED_PLACES = "places", "unprojected", "unprojected places"
"""Kinds of features: of places (N, P, D), and before the projection, of images (N, W) and of places (N, P, W); others:
"image", "text"."""

WHOLE = {PLACES: "image", UNPROJECTED_PLACES: UNPROJECTED}
"""Kinds of features of places, each with the kind of the images' own that belongs to it."""

CPU_PIXELS = 64 * 64 * 64
"""Pixels encoded together on a CPU, where larger batches fall out of its caches: 64 images of 64 px (half as fast again
as 256), 24 of 104 px (362 images/s in batches of 16, 209 in batches of 128)."""

STREAMS = 8
"""Blocks encoded at once on a CPU, at most: each holds 39 MB of pixels at 224 px, and a large tower's weights pass the
memory bus once for each stream."""

AHEAD = 3
"""Blocks that are decoded, or done, beside those that are being encoded."""


def encoded(encoder: Encoder, blocks: Iterable[tuple[int, torch.Tensor]], kind: str) -> Iterator[tuple[int, Array]]:
    """Encode blocks as `images.blocks` yields them.

    Args:
        encoder: the encoder.
        blocks: (start, (V, B, 3, H, W) uint8 transformed images) each.
        kind: of features.

    Yields:
        (start, (V, B, D) features of the block's views, or (V, B, P, D) of their places; before the projection W for
        D), in order.

    Raises:
        DataError: a feature of a place does not fit half precision.
    """
    streams, threads = streams_on(encoder.device), torch.get_num_threads()
    if streams == 1:
        yield from ((start, _encode(encoder, pixels, kind)) for start, pixels in blocks)
        return
    # OpenMP keeps the number for each thread that asks: the caller's stays as it is.
    pool = ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(threads // streams,))
    ahead = deque[tuple[int, Future[Array]]]()
    try:
        for start, pixels in blocks:
            ahead.append((start, pool.submit(_encode, encoder, pixels, kind)))
            if len(ahead) > streams:
                first, future = ahead.popleft()
                yield first, future.result()
        yield from ((start, future.result()) for start, future in ahead)
    finally:
        pool.shutdown(cancel_futures=True)


def streams_on(device: torch.device) -> int:
    """Blocks that are encoded at once."""
    return min(torch.get_num_threads(), STREAMS) if device.type == "cpu" else 1


def _encode(encoder: Encoder, pixels: torch.Tensor, kind: str) -> Array:
    """One block's features.

    Batches are padded to one size: kernels chosen by batch size round differently, and a feature must not depend on
    what it was encoded beside.
    """
    views, count = pixels.shape[:2]
    size = max(8, CPU_PIXELS // (pixels.shape[-2] * pixels.shape[-1])) if encoder.device.type == "cpu" else BLOCK
    flat = pixels.flatten(0, 1)
    if short := -len(flat) % size:
        flat = torch.cat([flat, flat[:1].expand(short, *flat.shape[1:])])
    features = torch.cat([_features(encoder, part, kind).cpu() for part in torch.split(flat, size)])
    array: Array = features[: views * count].reshape(views, count, *features.shape[1:]).numpy()
    return array


def _features(encoder: Encoder, pixels: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == UNPROJECTED:
        return encoder.encode_unprojected(pixels)
    if kind not in WHOLE:
        return encoder.encode_images(pixels)
    of = encoder.encode_patches if kind == PLACES else encoder.encode_unprojected_patches
    places = of(pixels)[:, 1:].half()
    if not bool(places.isfinite().all()):
        raise DataError(f"local features of {encoder.id} are too large for half precision.", "Use another encoder.")
    return places
