"""Images as pixels, decoded when they are asked for: for methods with an image tower of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from croftbench.data import images
from croftbench.data.pool import Pool
from croftbench.encoders.identity import Identity
from croftbench.encoders.transforms import normalised

__all__ = ["PixelReader"]


@dataclass(frozen=True)
class PixelReader:
    """(N, 3, H, W) float32 pixels of images; what is indexed is decoded, in threads.

    Attributes:
        pool: where the images are.
        rows: (N,) positions of the images in it.
        transform: path and encoded bytes -> how its uint8 pixels are made.
        read: path -> encoded bytes.
        identity: of the encoder that they are normalised for.
        device: where what is read goes.
    """

    pool: Pool
    rows: npt.NDArray[np.int64]
    transform: Callable[[str, bytes], images.Transform]
    read: Callable[[str], bytes]
    identity: Identity
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, H, W)."""
        return len(self.rows), 3, *self.identity.image_size

    def __getitem__(self, chosen: slice | Tensor) -> Tensor:
        """(B, 3, H, W) pixels of a range of the images, or of those at positions (B,)."""
        rows = self.rows[chosen if isinstance(chosen, slice) else chosen.cpu().numpy()]
        paths = tuple(self.pool.paths[row] for row in rows)
        if not paths:
            return torch.empty(0, *self.shape[1:], device=self.device)
        asked = replace(self.pool, paths=paths)
        block = images.blocks(asked, [0], len(paths), lambda i, data: [self.transform(paths[i], data)], self.read)
        ((_, pixels),) = block
        return normalised(pixels[0].to(self.device), self.identity)
