"""Frozen transformer blocks with a method's changes inside, in bounded memory.

A block is open_clip's ResidualAttentionBlock, with x (B, n, W) what enters it:

    y = LN_1(x)                       q k v = W y + b + attention(x's block, y)
    h = x + O(softmax(q k' / sqrt(d) [+ causal mask]) v)                out = h + MLP(LN_2(h))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from croftbench.method import Inside

__all__ = ["KEPT", "half_on_cuda", "through"]

KEPT = 2**31
"""Bytes of activations that are kept for the backward pass; beyond, rows are computed in micro-batches that keep as
much, each again in the backward pass."""

FLOATS = 15
"""Numbers that a block keeps for a token and unit of width, as measured with either kind of GELU."""


def through(blocks: Sequence[Any], x: Tensor, inside: Inside, causal: bool) -> Tensor:
    """What leaves the last block, (B, n, W), of tokens x (B, n, W) that enter the first."""
    kept = FLOATS * x.numel() * len(blocks) * x.element_size()
    if kept <= KEPT or not torch.is_grad_enabled():
        return _rows(blocks, x, 0, inside, causal)
    size = max(1, len(x) * KEPT // kept)
    return torch.cat(
        [
            checkpoint(_rows, blocks, part, i * size, inside, causal, use_reentrant=False)
            for i, part in enumerate(torch.split(x, size))
        ]
    )


def half_on_cuda(device: torch.device) -> torch.autocast:
    """bfloat16 where a gradient is asked for on CUDA: what is predicted has the precision of every other method."""
    wanted = device.type == "cuda" and torch.is_grad_enabled()
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def _rows(blocks: Sequence[Any], x: Tensor, first: int, inside: Inside, causal: bool) -> Tensor:
    """The rows from `first` on."""
    rows = slice(first, first + len(x))
    for layer, block in enumerate(blocks):
        x = _block(block, layer, rows, x, inside, causal)
    return x


def _block(block: Any, layer: int, rows: slice, x: Tensor, inside: Inside, causal: bool) -> Tensor:
    if inside.tokens is not None:
        x = inside.tokens(layer, rows, x)
    y, attention = block.ln_1(x), block.attn
    qkv = F.linear(y, attention.in_proj_weight, attention.in_proj_bias)
    if inside.attention is not None:
        qkv = qkv + inside.attention(layer, rows, y)
    q, k, v = (part.view(*part.shape[:2], attention.num_heads, -1).transpose(1, 2) for part in qkv.chunk(3, -1))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)
    x = x + block.ls_1(attention.out_proj(mixed))
    out: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return out
