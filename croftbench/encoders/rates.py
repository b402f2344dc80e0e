"""How fast an encoder encoded images here the last time: a small record in the cache, which forecasts read."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.encoders.identity import Identity
from croftbench.files import digest, recall, remember

if TYPE_CHECKING:
    import torch

ENOUGH = 256
"""Images below which a rate would be that of starting."""


@dataclass(frozen=True)
class Rate:
    """What was measured.

    Attributes:
        images: times that an image was decoded and encoded, each view counted.
        seconds: what that took, reading and writing included.
        device: where, as in "cpu x86_64".
    """

    images: int
    seconds: float
    device: str

    @property
    def told(self) -> str:
        """One clause."""
        return f"{self.images / self.seconds:,.3g} images/s, as measured on {self.device}"


def note(cache: Path, identity: Identity, images: int, seconds: float, device: torch.device) -> None:
    """Record how long many images took; few say nothing."""
    import torch

    if images < ENOUGH or not seconds > 0:
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    remember(_path(cache, identity), asdict(Rate(images, seconds, f"{device.type} {name}")))


def read(cache: Path, identity: Identity) -> Rate | None:
    """The rate of this encoder that was measured last; None where there is none."""
    found = recall(_path(cache, identity)) or {}
    try:
        rate = Rate(**found)
        return rate if rate.images > 0 and rate.seconds > 0 else None
    except TypeError:  # damaged, or of another version: a rate is a help, no more
        return None


def _path(cache: Path, identity: Identity) -> Path:
    of = digest([identity.weights_digest, identity.config_digest, identity.image_size])[:16]
    return cache / "encoders" / f"rate-{of}.json"
