"""Image transforms: a PIL image -> (3, H, W) uint8 pixels -> float32, normalised for an encoder.

Images leave the threads that decode them as bytes, a quarter of the memory, and are normalised by the batch, on the
encoder's device. `test` is open_clip's evaluation transform. `train` is the random resized crop and mirror of CLIP's
few-shot literature, with every draw taken from the seed that it is given. Images should be RGB.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from croftbench.encoders.identity import Identity

__all__ = ["Augmentation", "Evaluation", "normalised", "test", "train"]

RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10


@dataclass(frozen=True)
class Evaluation:
    """Resize as the encoder's `resize_mode` says, crop the centre."""

    identity: Identity

    def __call__(self, image: Image.Image) -> Tensor:
        """(3, H, W) uint8."""
        return _evaluation(self.identity)(image)

    def fingerprint(self) -> str:
        """Everything that changes the pixels."""
        return self.identity.transform


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop, mirror.

    Attributes:
        identity: the encoder's.
        scale: smallest and largest share of the image's area that a crop covers.
        flip: whether one image in two is mirrored.
    """

    identity: Identity
    scale: tuple[float, float]
    flip: bool = True

    def __call__(self, image: Image.Image, seed: int | torch.Generator) -> Tensor:
        """(3, H, W) uint8, the same for the same seed; a generator is advanced."""
        from torchvision.transforms import functional as F

        rng = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        box = _crop(image.width, image.height, self.scale, rng)
        mirrored = bool(torch.rand((), generator=rng) < 0.5)  # drawn in any case: `flip` leaves the crops alone
        cropped = F.resized_crop(image, *box, list(self.identity.image_size), _interpolation(self.identity))
        return _pixels(F.hflip(cropped) if mirrored and self.flip else cropped)

    def fingerprint(self) -> str:
        """Everything that changes the pixels, besides the seed."""
        low, high = self.scale
        return f"train 1 {self.identity.pixels} scale={low!r},{high!r} ratio=3/4,4/3 flip={self.flip}"


def test(identity: Identity) -> Evaluation:
    """The transform of test and validation images."""
    return Evaluation(identity)


def train(identity: Identity, scale: tuple[float, float], flip: bool = True) -> Augmentation:
    """The transform of training views; `scale` is the suite's protocol."""
    return Augmentation(identity, scale, flip)


def normalised(pixels: Tensor, identity: Identity) -> Tensor:
    """(..., 3, H, W) uint8 -> float32 on the same device, bit for bit as torchvision's ToTensor and Normalize."""
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (identity.mean, identity.std))
    return pixels.float().div_(255).sub_(mean).div_(std)


def _crop(width: int, height: int, scale: tuple[float, float], rng: torch.Generator) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random crop, distributed as torchvision's RandomResizedCrop draws them."""
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    for _ in range(ATTEMPTS):
        u = torch.rand(4, generator=rng, dtype=torch.float64).tolist()
        area = width * height * (scale[0] + (scale[1] - scale[0]) * u[0])
        ratio = math.exp(low + (high - low) * u[1])
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(u[2] * (height - h + 1)), int(u[3] * (width - w + 1)), h, w
    # No crop of that area fits: the largest central one of an allowed ratio.
    w = min(width, round(height * RATIO[1]))
    h = min(height, round(width / RATIO[0]))
    return (height - h) // 2, (width - w) // 2, h, w


def _evaluation(identity: Identity) -> Callable[[Image.Image], Tensor]:
    from torchvision.transforms import functional as F

    height, width = size = list(identity.image_size)
    mode = _interpolation(identity)

    def shortest(image: Image.Image) -> Tensor:
        resized = F.resize(image, [height], mode)
        return _pixels(resized if resized.size == (width, height) else F.center_crop(resized, size))

    def squash(image: Image.Image) -> Tensor:
        return _pixels(F.resize(image, size, mode))

    if identity.resize_mode == "squash":
        return squash
    return shortest if height == width and identity.resize_mode == "shortest" else _of_open_clip(identity)


def _of_open_clip(identity: Identity) -> Callable[[Image.Image], Tensor]:
    """For the rare encoders that pad, or that are not square; the others do without importing open_clip."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    whole: Any = image_transform_v2(
        PreprocessCfg(
            size=identity.image_size,
            mean=identity.mean,
            std=identity.std,
            interpolation=identity.interpolation,
            resize_mode=identity.resize_mode,
        ),
        is_train=False,
    )
    *on_image, _, _ = whole.transforms  # without making a tensor of it, and normalising that

    def transform(image: Image.Image) -> Tensor:
        for step in on_image:
            image = step(image)
        return _pixels(image)

    return transform


def _interpolation(identity: Identity) -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode.BILINEAR if identity.interpolation == "bilinear" else InterpolationMode.BICUBIC


def _pixels(image: Image.Image) -> Tensor:
    from torchvision.transforms import functional as F

    pixels: Tensor = F.pil_to_tensor(image if image.mode == "RGB" else image.convert("RGB"))
    return pixels
