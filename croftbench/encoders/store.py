"""The feature store: what a frozen encoder gave, kept for good.

An entry is a NumPy file named by the hash of everything that changes its bytes: encoder weights, transform, the
images' content and order, the view. Shipped images are identified by their digest, files on the user's disk by path,
size and time of change, looked at whenever an entry is asked for. Blocks are written as they are encoded and joined
when all are there, each step by one atomic rename, so a kill at any moment loses at most a block. Processes that fill
one entry claim its blocks one by one and share them (`encoders.filling`). Entries are read memory-mapped; a full hit
never loads CLIP. What is read is first held against the digests that it was written with (croftbench.npy): an entry
that is damaged is made again.

Features of images and texts are float32. Those of an image's places are float16, beside the float32 feature of the
image, which is never rounded: they are nearly all of the bytes, only cosines are made of them, and the authors of the
methods that use them compute them in half precision. A place's cosines move by 1.2e-5 (root mean square; 7e-5 at most)
and the emoji suites' AUROC of GL-MCM by at most 2e-5; rounded before the projection they move no more (random ViT-B/16:
9.2e-6, 4.8e-5 at most, either way). With ViT-B/16, 196 places and D = 512, an image's view takes 201 kB: 16 images of
each ImageNet class in 30 views 96 GB (of 400 classes 39 GB), 50,000 test images 10 GB; twice that while entries are
joined from their blocks; half as much again before the projection, where W = 768.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from croftbench import claims, leases, mirrors
from croftbench.data import decoding, images
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.encoders import entry, filling, rates, transforms
from croftbench.encoders.batches import BLOCK, PLACES, WHOLE, encoded
from croftbench.encoders.entry import Entry, Rows
from croftbench.encoders.identity import Identity
from croftbench.encoders.lazy import View
from croftbench.encoders.pixels import PixelReader
from croftbench.errors import DamagedError, DataError
from croftbench.files import digest
from croftbench.npy import Stored
from croftbench.suites.language import Protocol

if TYPE_CHECKING:
    from croftbench.encoders.clip import Encoder

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Advance = Callable[[int], None]

TEXTS = 2048
"""Prompts between two words of progress; a multiple of what the encoder takes at once."""


class FeatureStore:
    """Frozen features and text embeddings of one encoder.

    Args:
        folder: the cache; entries live in its `features/`.
        identity: of the encoder: enough to name every entry.
        encoder: loads the encoder itself; called on a miss only.
        roots: where images come from; only those that ship when None.
        note: told once a pool of pictures that other loaders may read differently.
    """

    def __init__(
        self, folder: Path, identity: Identity, encoder: Callable[[], Encoder], roots: Roots | None = None,
        note: Callable[[str], None] = lambda message: None,
    ) -> None:  # fmt: skip
        self.folder = folder / "features"
        self.identity = identity
        self.encoder = encoder
        self.roots = roots or Roots()
        self.note, self._noted = note, set[tuple[str, str]]()

    def test(self, pool: Pool, advance: Advance = lambda n: None, kind: str = "image") -> Array:
        """(N, D) raw features of a pool under the test transform, memory-mapped; (N, W) of kind UNPROJECTED."""
        return Entry(lambda: self._test(pool, kind, advance)).whole()

    def test_patches(self, pool: Pool, advance: Advance = lambda n: None, kind: str = PLACES) -> View:
        """The same, and (N, P, D) raw features of the images' places, both memory-mapped; W for D of kind
        UNPROJECTED_PLACES.
        """
        places = Rows(Entry(lambda: self._test(pool, kind, advance)))
        return View(self.test(pool, kind=WHOLE[kind]), places)

    def views(
        self, pool: Pool, protocol: Protocol, views: int, advance: Advance = lambda n: None, kind: str = "image",
        rows: Ints | None = None,
    ) -> Array:  # fmt: skip
        """(V, N, D) raw features of `views` seeded training views of each image, or of those at `rows`; (V, N, W) of
        kind UNPROJECTED. They are held once: entries are read one by one.

        View v of an image depends on the image and v alone, so asking for more views later reuses the first ones, and
        the same image has the same views wherever its file lies.
        """
        gathered: Array | None = None
        for view, one in enumerate(self._views(pool, protocol, views, kind, advance)):
            whole = one.whole()
            part = whole if rows is None else whole[rows]
            gathered = np.empty((views, *part.shape), dtype=np.float32) if gathered is None else gathered
            gathered[view] = part
        assert gathered is not None  # there is a view at least
        return gathered

    def view_patches(
        self, pool: Pool, protocol: Protocol, views: int, advance: Advance = lambda n: None, kind: str = PLACES
    ) -> list[View]:
        """The same, view by view, each with the (N, P, D) raw features of its places, all memory-mapped; W for D of
        kind UNPROJECTED_PLACES.
        """
        places = [Rows(one) for one in self._views(pool, protocol, views, kind, advance)]
        whole = [one.whole() for one in self._views(pool, protocol, views, WHOLE[kind])]
        return [View(*both) for both in zip(whole, places, strict=True)]

    def pixels(
        self, pool: Pool, rows: npt.NDArray[np.int64], device: torch.device, protocol: Protocol | None = None,
        view: int = 0,
    ) -> PixelReader:  # fmt: skip
        """(N, 3, H, W) pixels of a pool's images, never kept: under the test transform, or as a protocol's view."""
        usual = transforms.test(self.identity)
        augment = protocol and transforms.train(self.identity, protocol.crop_scale, protocol.flip)

        def transform(path: str, data: bytes) -> images.Transform:
            return (lambda image: augment(image, _seed(pool, path, data, view))) if augment else usual

        return PixelReader(pool, rows, transform, self.roots.reader(pool.table), self.identity, device)

    def text(self, prompts: Sequence[str], advance: Advance = lambda n: None) -> Array:
        """(P, D) raw text embeddings, memory-mapped; `advance` is told of prompts as they are encoded."""
        return Entry(lambda: self._text(prompts, advance)).whole()

    # ---------------------------------------------------------------------------------- filling

    def _text(self, prompts: Sequence[str], advance: Advance) -> Path:
        """The prompts' entry, which is there then."""
        path = self._path("text", list(prompts))

        def make() -> None:
            parts = []
            for start in range(0, max(1, len(prompts)), TEXTS):
                part = list(prompts[start : start + TEXTS])
                parts.append(self._encoder().encode_texts(part).cpu().numpy())
                advance(len(part))
            entry.save(path, parts)

        claims.once(lambda: self._found(path), path.with_suffix(leases.SUFFIX), make, "--cache")
        return path

    def _test(self, pool: Pool, kind: str, advance: Advance) -> Path:
        """A pool's entry, which is there then."""
        transform = transforms.test(self.identity)
        path = self._path(kind, transform.fingerprint(), self._state(pool))
        self._fill(pool, [path], lambda position, data: [transform], kind, advance)
        return path

    def _views(
        self, pool: Pool, protocol: Protocol, views: int, kind: str, advance: Advance = lambda n: None
    ) -> list[Entry]:
        """The views' entries; those that are missing are made together, so that each image is decoded once."""
        transform = transforms.train(self.identity, protocol.crop_scale, protocol.flip)
        state, rule = self._state(pool), "view" if pool.content else "view by bytes"
        paths = [self._path(kind, transform.fingerprint(), state, f"{rule} {view}") for view in range(views)]

        def of(position: int, data: bytes, view: int) -> images.Transform:
            seed = _seed(pool, pool.paths[position], data, view)
            return lambda image: transform(image, seed)

        def filled(view: int) -> Path:
            if self._found(paths[view]):
                return paths[view]
            for path in paths:  # before it is decided which are made together
                self._found(path)
            if missing := filling.together(paths):
                wanted = [paths[i] for i in missing]
                self._fill(pool, wanted, lambda i, data: [of(i, data, v) for v in missing], kind, advance)
            return paths[view]

        return [Entry(partial(filled, view)) for view in range(views)]

    def _fill(
        self,
        pool: Pool,
        paths: Sequence[Path],
        of: Callable[[int, bytes], Sequence[images.Transform]],
        kind: str,
        advance: Advance,
    ) -> None:
        """Encode what is missing of the entries `paths`, one for each transform of `of`."""
        if all(self._found(path) for path in paths):
            return
        size = max(1, BLOCK // len(paths))
        remarks, read = Counter[str](), self.roots.reader(pool.table)
        with filling.Blocks(paths, len(pool.paths), size, advance) as shared:
            while todo := shared.missing():
                encoder, mine = self._encoder(), shared.claimed(todo)
                began, count = time.monotonic(), 0
                decoded = images.blocks(pool, mine, size, of, read, lambda remark: remarks.update([remark]))
                for start, features in encoded(encoder, decoded, kind):
                    entry.save(shared.block(start), [features])
                    shared.finished(start)
                    count += features.shape[0] * features.shape[1]
                rates.note(self.folder.parent, self.identity, count, time.monotonic() - began, encoder.device)
        self._say(pool, remarks)
        claims.once(shared.joined, shared.lease, lambda: self._join(paths, shared), "--cache")

    def _found(self, path: Path) -> bool:
        """Whether an entry is there, or came from the store that the cache mirrors, whole."""
        return path.exists() or (mirrors.fetch(path) and entry.intact(path))

    def _say(self, pool: Pool, remarks: Counter[str]) -> None:
        """What was remarked of a pool's files, once; shipped pictures are as they were made."""
        for remark, count in remarks.items():
            if not pool.content and (pool.name, remark) not in self._noted:
                self._noted.add((pool.name, remark))
                self.note(decoding.remarked(pool.name, remark, count))

    def _join(self, paths: Sequence[Path], shared: filling.Blocks) -> None:
        """Write each entry from its blocks."""
        for view, path in enumerate(paths):
            if path.exists():
                continue
            try:
                parts = [Stored(shared.block(start))[view : view + 1][0] for start in shared.starts]
            except DamagedError as error:
                if path.exists():  # we were asleep, and another process took over
                    continue
                raise DataError(f"the cache entry {path.name} lost a block: {error.message}", "Run again.") from error
            entry.save(path, parts)
        shutil.rmtree(shared.folder, ignore_errors=True)

    def _encoder(self) -> Encoder:
        """The encoder, once its weights are those that the entries are named by.

        Raises:
            DataError: they are not: the file has changed, though its time and size are the same.
        """
        encoder = self.encoder()
        if encoder.identity.weights_digest != self.identity.weights_digest:
            raise DataError(
                f"the weights of {self.identity.id} are not those that they were: {self.identity.weights} has changed.",
                "Get the file again; or run again, and the changed weights are another encoder's.",
            )
        return encoder

    def _state(self, pool: Pool) -> str:
        """Digest of a pool's images as they are now, and of the rules that files become pixels by."""
        state = replace(pool, content=self.roots.content(pool)).digest
        return state if pool.content else f"{state} {decoding.RULES}"

    def _path(self, kind: str, *parts: object) -> Path:
        """Where the entry is that all this decides the bytes of; those without digests had other names."""
        dtype = "float16" if kind in WHOLE else "float32"
        of = [kind, self.identity.weights_digest, self.identity.config_digest, dtype, "digests", *parts]
        return self.folder / f"{digest(of)[:32]}.npy"


def _seed(pool: Pool, path: str, data: bytes, view: int) -> int:
    """Of an image's view: shipped pixels have a name of their own, a file has its bytes."""
    name = [pool.content, path] if pool.content else [hashlib.sha256(data).hexdigest()]
    return int(digest([*name, view])[:12], 16)
