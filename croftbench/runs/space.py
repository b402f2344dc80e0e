"""What a plan takes: images to encode, bytes of features, outputs and tables, memory; and whether there is the room."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import mirrors
from croftbench.data.pool import Pool
from croftbench.draw.build import subset
from croftbench.encoders.batches import AHEAD, BLOCK, UNPROJECTED, UNPROJECTED_PLACES, WHOLE, streams_on
from croftbench.encoders.features import kind_of, places_of
from croftbench.encoders.store import FeatureStore
from croftbench.errors import DataError
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

FLOAT, HALF = 4, 2
"""Bytes of a number: features, outputs and scores are float32, features of places float16."""
NAME = 24
"""Bytes of an image's name in a per-image table, about: they are compressed."""
WIDER = 4
"""How much longer a feature is before the projection than behind it, at most, of CLIP's ResNets and of what ships."""
TRANSFORMER = 1.5
"""The same of CLIP's image transformers: 768 to 512 at most."""
STRIDE = 32
"""Pixels between places, where the encoder's name does not say it: that of ResNets, and of what ships."""


@dataclass(frozen=True)
class Memory:
    """What a plan holds at a time, in bytes, at most. What a method makes of it while it trains, and torch, are beside
    this and not known.

    Attributes:
        features: of all test pools, N x D x 4, and of the largest draw's views, V x N x D x 4. Those of places stay on
            the disk.
        block: pixels, and features of places, of the images that are encoded at once; 0 where none are.
        weights: of the encoder, as large as their file.
    """

    features: int
    block: int
    weights: int

    @property
    def told(self) -> str:
        """One line."""
        block = f", {_size(self.block)} of images being encoded" if self.block else ""
        whole = _size(self.features + self.block + self.weights)
        parts = f"{_size(self.features)} of features (images x dimensions x 4 bytes), {_size(self.weights)} of weights"
        return f"up to {whole}: {parts} (their file){block}; what a method makes while it trains is not counted"


@dataclass(frozen=True)
class Space:
    """What a plan writes, and holds.

    Attributes:
        images: times that an image is encoded, each view counted; what is in the cache is not.
        features: bytes of features in the cache, at most, while blocks are put together.
        outputs: bytes of kept outputs there, at most: logits that class features give are not kept.
        tables: bytes of per-image tables in the results folder, before they are compressed.
        memory: what is held.
    """

    images: int
    features: int
    outputs: int
    tables: int
    memory: Memory

    @property
    def told(self) -> str:
        """One line."""
        cached = f"{_size(self.features)} of features and {_size(self.outputs)} of outputs in the cache"
        return f"up to {cached}, {_size(self.tables)} of tables in the results"


def of(bench: Workbench, jobs: Sequence[Job]) -> Space:
    """What is left to do of jobs whose images are there; the cache is looked at, nothing is written."""
    blocks = streams_on(bench.device) + AHEAD
    counted, protocol = _Counted(bench.features.store, blocks=blocks), bench.suite.protocol
    outputs = tables = views_held = 0
    held: dict[tuple[str, str], int] = {}
    for job in jobs:
        fold = bench.fold_of(job.spec, job.info)
        tested = sum(len(split) for _, split in fold.tests)
        kept = tested + (len(fold.score_bank) if job.info.train or bench.draws.shipped else 0)
        outputs += FLOAT * kept * (len(fold.classnames) + bench.identity.dim)
        tables += tested * (FLOAT * (2 + len(protocol.scorers)) + NAME)
        image = job.info.image
        for kind in filter(None, (kind_of(image), places_of(image))):
            tests, trained = [split.pool for _, split in fold.tests], []
            if protocol.ood_transform == "train":
                tests = [split.pool for shift, split in fold.tests if shift != "semantic"]
                trained = [(split, 1) for shift, split in fold.tests if shift == "semantic"]
            if image == "tower":  # of test images it reads pixels
                tests, trained = [], []
            if job.info.train:
                tests += [] if fold.val is None else [fold.val.pool]
                trained.append((fold.viewed, job.spec.views))
            wide = FLOAT * bench.identity.dim * (WIDER if kind == UNPROJECTED else 1) if kind not in WHOLE else 0
            for pool in tests:
                held[pool.digest, kind] = len(pool.paths) * wide
                counted._test(pool, kind, _silent)
            for split, views in trained:
                views_held = max(views_held, views * len(split) * wide)
                for entry in counted._views(subset(split), protocol, views, kind):
                    entry.fill()
    memory = Memory(sum(held.values()) + views_held, counted.block, bench.identity.size if jobs else 0)
    return Space(counted.images, counted.bytes + counted.largest, outputs, tables, memory)


def check(space: Space, results: Path, cache: Path) -> str:
    """Fail unless there is room for features and tables; what to say where there is none for all outputs, else "".

    Raises:
        DataError: there is too little; the message says how much is needed and free.
    """
    free = {folder: shutil.disk_usage(_there(folder)).free for folder in (results, cache)}
    one = _there(results).stat().st_dev == _there(cache).stat().st_dev
    for folder, option, needed in (
        (cache, "--cache", space.features + (space.tables if one else 0)),
        (results, "--results", space.tables),
    ):
        if needed > free[folder]:
            raise DataError(
                f"what is planned takes about {_size(needed)} in {folder} ({space.images:,} images to encode), where "
                f"{_size(free[folder])} are free.",
                f"Free some space, choose another folder with {option}, or plan less: --views, --seeds, --limit.",
            )
    if space.outputs > free[cache] - space.features - (space.tables if one else 0):
        return (
            f"There is no room in {cache} for the outputs of all runs, about {_size(space.outputs)}: scores that are "
            "asked for later will fit their methods again."
        )
    return ""


def _there(folder: Path) -> Path:
    """The folder, or the closest one above it that is there."""
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


@dataclass
class _Counted(FeatureStore):
    """A store that counts what it would encode."""

    store: FeatureStore
    images: int = 0
    bytes: int = 0
    largest: int = 0
    block: int = 0
    blocks: int = 1
    seen: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        vars(self).update(vars(self.store))

    def _found(self, path: Path) -> bool:
        return mirrors.there(path)  # nothing is fetched

    def _fill(self, pool: Pool, paths: Sequence[Path], of: Any, kind: str, advance: Callable[[int], object]) -> None:
        lacking = {path for path in paths if path not in self.seen and not self._found(path)}
        self.seen |= lacking
        images, identity = len(lacking) * len(pool.paths), self.store.identity
        each = FLOAT * identity.dim * (WIDER if kind == UNPROJECTED else 1)
        if kind in WHOLE:
            width = int(identity.dim * (TRANSFORMER if kind == UNPROJECTED_PLACES else 1))
            each = HALF * width * _places(identity.id, identity.image_size)
        pixels = 3 * math.prod(identity.image_size) + (each if kind in WHOLE else 0)
        self.block = max(self.block, min(images, BLOCK * self.blocks) * pixels)
        self.images += images
        self.bytes += images * each
        self.largest = max(self.largest, images * each)  # blocks stay until they are joined


def _places(encoder: str, size: tuple[int, int]) -> int:
    """Places of an image, about."""
    patch = re.search(r"ViT-[A-Za-z]+-(\d+)", encoder)
    stride = int(patch[1]) if patch else STRIDE
    return max(1, size[0] // stride) * max(1, size[1] // stride)


def _silent(images: int) -> None:
    """Nothing is encoded, so nobody is told."""
