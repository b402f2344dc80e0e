"""A tensor whose images stay on disk until they are read: with patches, a suite is larger than memory.

One ViT-B/16 image with its 196 places takes 400 kB in float32. `Mapped` says what shape it has and reads the images
that it is indexed with; what can be told without reading (a view, a range of images, chunks) is again `Mapped`. Any
other operation reads everything first, so it is right everywhere, and small where a method indexes before it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

__all__ = ["Mapped", "View"]

KNOWN = {
    *(getattr(Tensor, name).__get__ for name in ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad")),
    *(getattr(Tensor, name) for name in ("size", "dim", "numel", "nelement", "__len__")),
}
"""What a tensor says of itself without its values."""


@dataclass(frozen=True)
class View:
    """What the feature store holds of one view of N images.

    Attributes:
        whole: (N, D) float32 features of the images, memory-mapped.
        places: (N, P, D) float16 features of their places, memory-mapped.
    """

    whole: npt.NDArray[np.float32]
    places: npt.NDArray[np.float16]

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(B, 1 + P, D) float32."""
        _, places, dim = self.places.shape
        out = np.empty((len(rows), 1 + places, dim), dtype=np.float32)
        out[:, 0], out[:, 1:] = self.whole[rows], self.places[rows]
        return torch.from_numpy(out)


class Mapped(Tensor):
    """(V, N, 1 + P, D) or, of one view, (N, 1 + P, D) float32, read when it is indexed; never written to."""

    views: tuple[View, ...]
    rows: Tensor
    single: bool

    @staticmethod
    def __new__(cls, views: Sequence[View], rows: Tensor, device: torch.device, single: bool = False) -> Mapped:
        """Images `rows` (N,), on the CPU, of each view; they are moved to `device` when they are read."""
        _, places, dim = views[0].places.shape
        shape = (len(rows), 1 + places, dim)
        make = Tensor._make_wrapper_subclass
        made: Mapped = make(cls, shape if single else (len(views), *shape), dtype=torch.float32, device=device)
        made.views, made.rows, made.single = tuple(views), rows, single
        return made

    def read(self) -> Tensor:
        """All of it, in memory."""
        rows = self.rows.numpy()
        found = [view.read(rows) for view in self.views]
        return (found[0] if self.single else torch.stack(found)).to(self.device)

    def of(self, rows: Tensor) -> Mapped:
        """The images at positions `rows`, still unread."""
        return Mapped(self.views, self.rows[rows.to("cpu")], self.device, self.single)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Mapped({tuple(self.shape)}, device={self.device})"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Follow what only chooses images; read for everything else."""
        if func in KNOWN:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs or {})
        chosen: Any = None
        if func is Tensor.__getitem__:
            chosen = _item(*args)
        elif func in (torch.split, Tensor.split) and isinstance(args[0], Mapped):
            chosen = _split(*args, **kwargs or {})
        return _computed(func, args, kwargs or {}) if chosen is None else chosen

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What comes from below Python."""
        return _computed(func, args, kwargs or {})


def _computed(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation on what has been read."""
    args, kwargs = tree_map(lambda x: x.read() if isinstance(x, Mapped) else x, (args, kwargs))
    return func(*args, **kwargs)


def _item(x: Any, key: Any) -> Tensor | None:
    """`x[key]` where it chooses images, or None."""
    if not isinstance(x, Mapped):
        return None
    if not x.single:
        if isinstance(key, int):
            return Mapped([x.views[key]], x.rows, x.device, single=True)
        of_all = isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], slice) and key[0] == slice(None)
        return x.of(key[1]) if of_all and isinstance(key[1], Tensor) and key[1].ndim == 1 else None
    if key is None:
        return Mapped(x.views, x.rows, x.device)
    if isinstance(key, slice):
        return x.of(torch.arange(len(x))[key])
    if isinstance(key, Tensor) and key.ndim == 1:
        return x.of(key).read()  # images chosen one by one are what is computed on next
    return None


def _split(x: Mapped, size: Any, dim: int = 0) -> tuple[Tensor, ...] | None:
    """`torch.split` into chunks of images, or None."""
    if not x.single or dim != 0:
        return None
    return tuple(x.of(part) for part in torch.split(torch.arange(len(x)), size))
