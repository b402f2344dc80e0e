"""Features of one encoder on one device: pools, training views, places and text, each made once for all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from croftbench import encoders
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.draw.build import subset
from croftbench.draw.gather import own_pool
from croftbench.draw.splits import Split
from croftbench.encoders.batches import PLACES, UNPROJECTED, UNPROJECTED_PLACES
from croftbench.encoders.lazy import ImageFeatures, PlaceReader, View
from croftbench.encoders.pixels import PixelReader
from croftbench.encoders.store import FeatureStore
from croftbench.files import digest
from croftbench.progress import Progress, Silent
from croftbench.prompting import class_text, raw_text
from croftbench.suites.language import Protocol

if TYPE_CHECKING:
    from croftbench.encoders.clip import Encoder
    from croftbench.encoders.identity import Identity

Ints = npt.NDArray[np.int64]

WRITTEN = 0
"""A tensor's `_version` while nobody has written on it, or on a part of it."""

MANY = 10_000
"""Texts from which on encoding them is a stage of its own."""


def kind_of(image: str) -> str:
    """The store's kind of whole-image features that `Needs.image` asks for."""
    return UNPROJECTED if image in ("unprojected", "unprojected-patches") else "image"


def places_of(image: str) -> str:
    """The store's kind of features of places that `Needs.image` asks for, "" where it asks for none."""
    return {"patches": PLACES, "unprojected-patches": UNPROJECTED_PLACES}.get(image, "")


class Features:
    """What a frozen encoder makes of images and texts.

    Args:
        encoder_id: the encoder; CLIP is loaded when something is not in the cache.
        cache: folder of the feature store and the encoder records.
        device: where tensors go, and the encoder when it is loaded.
        progress: where stages are shown.
        roots: where images come from; only those that ship when None.
        preprocess: as in `encoders.load`.
    """

    def __init__(
        self, encoder_id: str, cache: Path, device: torch.device, progress: Progress | None = None,
        roots: Roots | None = None, preprocess: str = "",
    ) -> None:  # fmt: skip
        self.encoder_id, self.cache, self.device = encoder_id, cache, device
        self.progress = progress or Silent()
        self.roots = roots or Roots()
        self.preprocess = preprocess
        self._pools: dict[tuple[str, str], Tensor] = {}
        self._places: dict[tuple[str, str], View] = {}
        self._last_views: tuple[tuple[str, int, str, str], Tensor] | None = None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder itself; touching it loads CLIP."""
        self.progress.note(f"Loading {self.encoder_id}.")  # no stage of its own: it happens within that of encoding
        return encoders.load(self.encoder_id, self.device, self.cache, self.preprocess)

    @cached_property
    def identity(self) -> Identity:
        """What the encoder is, from its record where there is one."""
        return encoders.identity(self.encoder_id, self.cache, self.preprocess) or self.encoder.identity

    def test(self, split: Split, kind: str = "image") -> Tensor:
        """(N, D) features of a split's images under the test transform, to be written on; its pool is encoded once."""
        return self._pool(split.pool, kind)[torch.tensor(split.rows, device=self.device)]

    def _shared(self, split: Split, kind: str) -> Tensor:
        """The same, to be read; no copy where a split is a stretch of its pool."""
        rows = np.array(split.rows, dtype=np.int64)
        if len(rows) and (np.diff(rows) == 1).all():
            return self._pool(split.pool, kind)[rows[0] : rows[-1] + 1]
        return self.test(split, kind)

    def test_places(self, split: Split, kind: str = PLACES) -> PlaceReader:
        """(N, 1 + P, D) the same, with the features of places, on disk; W for D of kind UNPROJECTED_PLACES."""
        return PlaceReader(self._pool_places(split.pool, kind), np.array(split.rows, dtype=np.int64), self.device)

    def images(self, split: Split, image: str, alone: bool = False) -> ImageFeatures:
        """What `Needs.image` says, to be read; `alone`, the rest of a pool that is not in use is not encoded."""
        if image == "tower":
            return self.pixels(split)
        places, kind = places_of(image), kind_of(image)
        key = split.pool.digest, places or kind
        if alone and key not in (self._places if places else self._pools):
            split = own_pool(split)
        return self.test_places(split, places) if places else self._shared(split, kind)

    def pixels(self, split: Split, protocol: Protocol | None = None, view: int = 0) -> PixelReader:
        """(N, 3, H, W) pixels of a split's images, decoded as they are read; a view where there is a protocol."""
        return self.store.pixels(split.pool, np.array(split.rows, dtype=np.int64), self.device, protocol, view)

    def views(
        self, split: Split, protocol: Protocol, count: int, kind: str = "image", rows: Ints | None = None
    ) -> Tensor:
        """(V, N, D) training views of a split's images, or of those at positions `rows` in it.

        The last ones are kept in memory, and no copy is made of them: where somebody has written on them, as methods
        must not, they are read again.
        """
        pool = subset(split)
        key = pool.digest, count, kind, "" if rows is None else digest(rows.tolist())
        if self._last_views is None or self._last_views[0] != key or self._last_views[1]._version != WRITTEN:
            self._last_views = None
            self.progress.stage(f"encoding {count} views of {pool.name}", len(pool.paths))
            array = self.store.views(pool, protocol, count, self.progress.advance, kind, rows)
            self._last_views = key, torch.from_numpy(array).to(self.device)
        return self._last_views[1]

    def view_places(self, split: Split, protocol: Protocol, count: int, kind: str = PLACES) -> list[View]:
        """The same with the features of places, on disk, view by view."""
        pool = subset(split)
        self.progress.stage(f"encoding places in {count} views of {pool.name}", len(pool.paths))
        return self.store.view_patches(pool, protocol, count, self.progress.advance, kind)

    def text(self, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(C, D) text features as `Task.text` defines them."""
        return class_text(self.encode_text, classnames, templates)

    def raw_text(self, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """(C, D) text features as `Task.raw_text` defines them."""
        return raw_text(self.encode_text, classnames, templates)

    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """(P, D) raw text features."""
        if len(prompts) <= MANY:
            return torch.from_numpy(np.array(self.store.text(prompts))).to(self.device)
        self.progress.stage("encoding words", len(prompts))  # a scorer's; a large encoder takes minutes on a CPU
        return torch.from_numpy(np.array(self.store.text(prompts, self.progress.advance))).to(self.device)

    def encode_drawn(self, draw: Callable[[tuple[int, int]], Tensor]) -> Tensor:
        """(B, D) raw features of the images that `draw` makes of (height, width), as the image tower takes them."""
        return self.encoder.encode_images(draw(self.identity.image_size).to(self.device))

    @cached_property
    def store(self) -> FeatureStore:
        """Where they are kept."""
        return FeatureStore(self.cache, self.identity, lambda: self.encoder, self.roots, self.progress.note)

    def _pool(self, pool: Pool, kind: str) -> Tensor:
        key = pool.digest, kind
        if key not in self._pools:
            self.progress.stage(f"encoding {pool.name}", len(pool.paths))
            array = self.store.test(pool, self.progress.advance, kind)
            self._pools[key] = torch.from_numpy(np.array(array)).to(self.device)
        return self._pools[key]

    def _pool_places(self, pool: Pool, kind: str) -> View:
        key = pool.digest, kind
        if key not in self._places:
            self.progress.stage(f"encoding places of {pool.name}", len(pool.paths))
            self._places[key] = self.store.test_patches(pool, self.progress.advance, kind)
        return self._places[key]
