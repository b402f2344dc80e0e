"""Batch norms folded into the convolutions before them, in the towers of timm that ship or are widely used.

A frozen batch norm is an affine map of each channel, so a convolution can do it in the same pass:

    w' = w g / sqrt(v + eps)        b' = (b - m) g / sqrt(v + eps) + beta

with the norm's mean m, variance v, gain g and shift beta. Features move by some 1e-6 of their size, and an
EfficientNet-Lite0 at 104 px encodes 1.3 to 1.5 times as many images a second on a CPU (docs/design/performance.md).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold"]

FOLLOWS = ("EfficientNet", "ResNet")
"""timm's classes in which a batch norm is registered right after the convolution whose output alone it reads."""

PLAIN = ("Conv2d", "Conv2dSame")
"""Convolutions that use their weights as they are; timm's others standardise them first, say."""


def fold(visual: Any) -> None:
    """Fold the batch norms of an open_clip image tower in evaluation mode, in place; other towers are left alone."""
    if type(visual).__name__ == "TimmModel" and type(visual.trunk).__name__ in FOLLOWS:
        _fold(visual.trunk)


def _fold(module: nn.Module) -> None:
    for child in module.children():
        _fold(child)
    for (name, first), (after, second) in pairwise(list(module.named_children())):
        if type(first).__name__ in PLAIN and isinstance(second, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(cast(nn.Conv2d, first), second))
            setattr(module, after, _rest(second))


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What timm's batch norm does beside normalising: its activation."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
