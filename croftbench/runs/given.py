"""What a method is given, as it declared it: examples, and the parts of the encoder that it may use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from croftbench.draw.splits import Split
from croftbench.encoders.features import Features, kind_of, places_of
from croftbench.encoders.lazy import ImageFeatures, PlaceReader
from croftbench.errors import UsageError
from croftbench.method import Examples, Image, Towers
from croftbench.plugins import MethodInfo
from croftbench.suites.language import Protocol

IMAGES: tuple[str, ...] = get_args(Image)
"""What `Needs.image` may be."""

INSIDE = ("tower", "unprojected", "unprojected-patches")
"""What of them is given with a part of the image tower."""


def check(info: MethodInfo) -> None:
    """Refuse needs that do not exist.

    Raises:
        UsageError: it declared such.
    """
    if info.image not in IMAGES:
        known = ", ".join(map(repr, IMAGES))
        raise UsageError(f"{info.name} needs image='{info.image}', which does not exist.", f"There are: {known}.")


def towers(features: Features, info: MethodInfo) -> Towers:
    """What the method declared of the encoder itself, which is loaded only then."""
    if info.text != "tower" and info.image not in INSIDE:
        return Towers()
    encoder = features.encoder
    return Towers(
        encoder.text_tower() if info.text == "tower" else None,
        encoder.image_tower() if info.image == "tower" else None,
        encoder.projection() if info.image in ("unprojected", "unprojected-patches") else None,
    )


def training(
    features: Features, protocol: Protocol, split: Split, within: Split | None, views: int, image: str
) -> Examples:
    """A split's training views, taken from those of `within`, a split that holds them all."""
    whole = within or split
    position = {image: i for i, image in enumerate(whole.images)}
    chosen = np.array([position[image] for image in split.images], dtype=np.int64)
    device = features.device
    seen = features.views(whole, protocol, views, kind_of(image), None if whole is split else chosen)
    read: list[ImageFeatures] = []
    if image == "tower":
        read = [features.pixels(split, protocol, view) for view in range(views)]
    elif kind := places_of(image):
        read = [PlaceReader(view, chosen, device) for view in features.view_places(whole, protocol, views, kind)]
    return _examples(features, seen, split, read)


def validation(features: Features, split: Split, image: str) -> Examples:
    """A split under the test transform, as one view."""
    read = [features.images(split, image)] if image == "tower" or places_of(image) else []
    return _examples(features, features.test(split, kind_of(image))[None], split, read)


def _examples(features: Features, views: Tensor, split: Split, read: Sequence[ImageFeatures]) -> Examples:
    return Examples(
        views,
        torch.tensor(split.labels, device=features.device),
        torch.tensor(split.domains, device=features.device),
        (lambda view, rows: read[view][rows]) if read else None,
    )
