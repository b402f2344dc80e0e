"""A run's outputs, kept: what its predictor returned for every image, so that scoring it again trains nothing.

One folder a run in the cache, `outputs/<run id>/`: float32 NumPy files, read memory-mapped, and `meta.json`, all with
their digests. Logits that features and class features give to the last bit, as those of most methods, are not written
but computed again, chunk by chunk as they were: of ImageNet's 1,000 classes they are two thirds of all bytes. The
folder appears in one rename, complete. It is never needed: a run whose folder is gone or damaged is fitted again when a
score asks.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from croftbench import npy
from croftbench.errors import DamagedError
from croftbench.files import put_folder, recall, sealed
from croftbench.npy import Stored

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from croftbench.method import Outputs

SCHEMA = 3
"""1 had no digests; 2 kept all logits."""

TRAIN = "train"
"""The part that holds the training images; test splits are parts "0", "1", ... in the order of the run."""

MOST = 4096
"""Images read at once where nobody says how many."""

_log = logging.getLogger(__name__)


def kept(cache: Path, run_id: str) -> bool:
    """Whether a run's outputs are in the cache."""
    return (cache / "outputs" / run_id / "meta.json").is_file()


class Writer:
    """Writes parts as they are computed. A full disk ends the keeping, not the run."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.parts: dict[str, dict[str, Any]] = {}
        self.failed = ""
        self._classes: tuple[str, Tensor] | None = None

    def through(self, part: str, images: int, outputs: Iterable[Outputs]) -> Iterator[Outputs]:
        """Hand on the outputs of a part's images, in order, and keep them."""
        files: dict[str, npy.Writer] = {}
        own: tuple[str, ...] = ()
        classes: Tensor | None = None  # of the first chunk, as for all: logits that are not written are theirs
        size = seen = without = 0
        with contextlib.ExitStack() as stack:
            for chunk in outputs:
                if not seen:
                    classes, size = chunk.classes, len(chunk.logits)
                own = tuple(chunk.scores)
                arrays = dict(zip(_names(part, len(own)), (chunk.features, *chunk.scores.values()), strict=True))
                if without == seen and self._gives(chunk, classes):
                    without += len(chunk.logits)
                else:
                    arrays[_logits(part)] = chunk.logits
                seen += len(chunk.logits)
                for name, tensor in arrays.items():
                    rows = images - without if name == _logits(part) else images
                    self._append(files, stack, name, rows, tensor.float().cpu().numpy())
                yield chunk
            for file in files.values():
                self._try(file.finish)
        about = {"images": images, "scores": own, "classes": self._class_file(part, classes)}
        self.parts[part] = about | {"given": without, "chunk": size, "scale": self.scale}

    def finish(self) -> None:
        """Write the listing, last."""
        text = sealed(json.dumps({"schema": SCHEMA, "parts": self.parts}))
        self._try(lambda: (self.folder / "meta.json").write_bytes(text.encode()))

    def _gives(self, chunk: Outputs, classes: Tensor | None) -> bool:
        """Whether the logits of a chunk are those that a part's class features give, bit for bit."""
        if chunk.classes is None or classes is None or not chunk.classes.equal(classes):
            return False
        return chunk.logits.equal(given(self.scale, chunk.features, classes))

    def _append(
        self, files: dict[str, npy.Writer], stack: contextlib.ExitStack, name: str, rows: int, block: npt.NDArray[Any]
    ) -> None:
        def append() -> None:
            if name not in files:
                file = (self.folder / name).open("wb")
                stack.callback(self._try, file.close, always=True)  # writes what is buffered
                files[name] = npy.Writer(file, rows, block)
            files[name].write(block)

        self._try(append)

    def _try(self, what: Callable[[], object], always: bool = False) -> None:
        """Do it, unless something failed before."""
        if self.failed and not always:
            return
        try:
            what()
        except OSError as error:
            self.failed = error.strerror or str(error)

    def _class_file(self, part: str, classes: Tensor | None) -> str:
        """Where a part's class features are: most methods have the same for all parts."""
        if classes is None:
            return ""
        if self._classes is None or not self._classes[1].equal(classes):
            name = f"{part}-classes.npy"
            self._try(lambda: _save(self.folder / name, classes.float().cpu().numpy()))
            self._classes = name, classes
        return self._classes[0]


@contextlib.contextmanager
def keeping(cache: Path, run_id: str, scale: float) -> Iterator[Writer]:
    """Keep what is written inside as the run's outputs, replacing older ones; nothing of it if anything fails.

    `scale` is the encoder's logit scale.
    """
    target = cache / "outputs" / run_id
    temporary = target.with_name(f"{run_id}.{secrets.token_hex(4)}.partial")  # a process may have another's number
    writer = Writer(temporary, scale)
    try:
        writer._try(lambda: temporary.mkdir(parents=True))
        yield writer
        writer.finish()
        writer._try(lambda: put_folder(temporary, target))
        if writer.failed:
            _log.warning("outputs of run %s are not kept in %s: %s.", run_id, target.parent, writer.failed)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class Kept:
    """A run's outputs, read back.

    Attributes:
        folder: where they are.
        parts: by name: number of images, names of the method's own scores, the file of its class features ("" for
            none), how many images, from the first one on, have logits that these give, and images of a chunk.
    """

    folder: Path
    parts: dict[str, dict[str, Any]]

    def images(self, part: str) -> int:
        """How many images a part holds, 0 where there is no such part."""
        return int(self.parts.get(part, {"images": 0})["images"])

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the method's own scores."""
        return tuple(self.parts["0"]["scores"])

    def read(self, part: str, device: torch.device, block: int | None = None) -> Iterator[Outputs]:
        """A part's outputs, `block` images at a time; where it is None as many as were predicted at once, but not the
        whole of a large part that a transductive method saw.

        Raises:
            DamagedError: a file is gone or damaged.
        """
        import torch

        from croftbench.method import Outputs

        about = self.parts[part]
        images, without = about["images"], about["given"]
        arrays = [self._open(name, images) for name in _names(part, len(about["scores"]))]
        written = self._open(_logits(part), images - without) if without < images else None
        classes = torch.tensor(self._open(about["classes"]).whole()).to(device) if about["classes"] else None
        for rows in _blocks(images, block or min(about["chunk"], MOST) or 1, without):
            features, *own = (torch.tensor(array[rows]).to(device) for array in arrays)
            if written is None or rows.start < without:
                assert classes is not None  # they gave the logits
                logits = given(about["scale"], features, classes)
            else:
                logits = torch.tensor(written[rows.start - without : rows.stop - without]).to(device)
            yield Outputs(logits, features, classes, dict(zip(about["scores"], own, strict=True)))

    def _open(self, name: str, rows: int | None = None) -> Stored:
        array = Stored(self.folder / name)
        if rows is not None and len(array) != rows:
            raise DamagedError(array.path, f"it does not hold {rows} images")
        return array


def find(cache: Path, run_id: str) -> Kept | None:
    """A run's kept outputs, or None where there are none that can be read."""
    folder = cache / "outputs" / run_id
    meta = recall(folder / "meta.json")
    return Kept(folder, meta["parts"]) if meta and meta["schema"] == SCHEMA else None


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with path.open("wb") as file:
        writer = npy.Writer(file, len(array), array)
        writer.write(array)
        writer.finish()


def given(scale: float, features: Tensor, classes: Tensor) -> Tensor:
    """(B, C) logits of (B, D) features and (C, D) class features of unit length."""
    return scale * features @ classes.T


def _blocks(images: int, size: int, bound: int) -> Iterator[slice]:
    """Ranges of at most `size` images, none of them across `bound`."""
    start = 0
    while start < images:
        stop = min(start + size, bound if start < bound else images)
        yield slice(start, stop)
        start = stop


def _names(part: str, own: int) -> list[str]:
    return [f"{part}-features.npy", *(f"{part}-score-{i}.npy" for i in range(own))]


def _logits(part: str) -> str:
    return f"{part}-logits.npy"
