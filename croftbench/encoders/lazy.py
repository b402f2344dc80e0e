"""Images with places, on disk until they are read: with patches, a suite is larger than memory.

One ViT-B/16 image with its 196 places takes 400 kB in float32, 600 kB before the projection, so they are read batch by
batch. D is W where features are those before the projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from croftbench.encoders.pixels import PixelReader

__all__ = ["ImageFeatures", "PlaceReader", "View"]


class Places(Protocol):
    """(N, P, D) numbers of which rows can be read: an array in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]: ...


@dataclass(frozen=True)
class View:
    """What the feature store holds of one view of N images.

    Attributes:
        whole: (N, D) float32 features of the images, memory-mapped.
        places: (N, P, D) float16 features of their places, read from the disk row by row.
    """

    whole: npt.NDArray[np.float32]
    places: Places

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(B, 1 + P, D) float32."""
        _, places, dim = self.places.shape
        out = np.empty((len(rows), 1 + places, dim), dtype=np.float32)
        out[:, 0], out[:, 1:] = self.whole[rows], self.places[rows]
        return torch.from_numpy(out)


@dataclass(frozen=True)
class PlaceReader:
    """(N, 1 + P, D) float32 features of images and their places; what is indexed is read.

    Attributes:
        view: what is on disk.
        rows: (N,) positions of the images in it.
        device: where what is read goes.
    """

    view: View
    rows: npt.NDArray[np.int64]
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, 1 + P, D)."""
        _, places, dim = self.view.places.shape
        return len(self.rows), 1 + places, dim

    def __getitem__(self, images: slice | Tensor) -> Tensor:
        """(B, 1 + P, D) float32 features of a range of the images, or of those at positions (B,)."""
        chosen = images if isinstance(images, slice) else images.cpu().numpy()
        return self.view.read(self.rows[chosen]).to(self.device)


ImageFeatures = Tensor | PlaceReader | PixelReader
"""(N, D) features in memory, or (N, 1 + P, D) and (N, 3, H, W) pixels on disk; each is cut by `[start:stop]`."""
