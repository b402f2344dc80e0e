"""What methods with prompts inside the towers share: tokens that take others' places, and a linear layer's start."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["linear_layer", "replaced"]


def replaced(x: Tensor, first: int, tokens: Tensor) -> Tensor:
    """(B, n, W) tokens of a block, those from `first` on (from the end where negative) replaced by others.

    Args:
        x: (B, n, W).
        first: where the others begin.
        tokens: (m, W), the same in every row, or (B, m, W).
    """
    own = tokens.to(x).expand(len(x), -1, -1)
    first %= x.shape[1]
    return torch.cat([x[:, :first], own, x[:, first + own.shape[1] :]], 1)


def linear_layer(to: int, width: int, rng: torch.Generator, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (to, width) and bias (to,) as PyTorch starts a linear layer: uniform on +-1 / sqrt(width)."""
    drawn = (2 * torch.rand(to, width + 1, generator=rng, dtype=like.dtype) - 1) / math.sqrt(width)
    moved = drawn.to(like.device)
    return moved[:, :-1].clone(), moved[:, -1].clone()
