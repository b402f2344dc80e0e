"""Image features before the image tower's last map, and that map: feature = x weight + bias.

For a VisionTransformer x is the last block's class token after its norm, and the map is `proj`, without a bias; for a
ModifiedResNet x is what its attention pool mixes, and the map is the pool's output projection; for a network of timm's
that is averaged over places x is that mean, and the map is the linear layer behind it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from croftbench.encoders.patches import refusal as places_refusal
from croftbench.errors import CroftbenchError
from croftbench.method import Projection

__all__ = ["encode", "projection", "refusal"]


def encode(model: Any, pixels: Tensor, encoder_id: str = "this encoder") -> Tensor:
    """(B, 3, H, W) images -> (B, W).

    Raises:
        CroftbenchError: the tower has no such map (see `refusal`).
    """
    _check(model, encoder_id)
    visual = model.visual
    kind = type(visual).__name__
    if kind == "TimmModel":
        found: Tensor = visual.trunk(pixels)
        return found
    resnet = kind == "ModifiedResNet"
    last = visual.attnpool if resnet else visual.ln_post
    seen: list[Tensor] = []
    hook = (
        last.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        if resnet
        else last.register_forward_hook(lambda module, arguments, found: seen.append(found))
    )
    try:
        model.encode_image(pixels)
    finally:
        hook.remove()
    if resnet:
        return _pooled(last, seen[0])
    return seen[0] if seen[0].ndim == 2 else seen[0][:, 0]


def projection(model: Any, encoder_id: str = "this encoder") -> Projection:
    """The map itself, copied.

    Raises:
        CroftbenchError: the tower has none (see `refusal`).
    """
    _check(model, encoder_id)
    visual = model.visual
    kind = type(visual).__name__
    if kind == "VisionTransformer":
        return Projection(visual.proj.detach().clone())
    last = visual.attnpool.c_proj if kind == "ModifiedResNet" else visual.head.proj
    bias = None if last.bias is None else last.bias.detach().clone()
    return Projection(last.weight.detach().T.clone(), bias)


def refusal(model: Any) -> str:
    """Why an open_clip model has no such map; "" if it has."""
    if reason := places_refusal(model):
        return reason
    return "its image tower ends without a projection" if getattr(model.visual, "proj", 0) is None else ""


def _check(model: Any, encoder_id: str) -> None:
    if reason := refusal(model):
        raise CroftbenchError(
            f"{encoder_id} has no features before a projection: {reason}.",
            "Use a CLIP with OpenAI's ResNet or ViT image tower.",
        )


def _pooled(pool: Any, x: Tensor) -> Tensor:
    """(B, W, h, w) feature map -> (B, W), the mean's query over mean and places."""
    x = x.flatten(2).mT
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + pool.positional_embedding
    q, k, v = (
        part.view(*part.shape[:2], pool.num_heads, -1).transpose(1, 2)
        for part in (pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x))
    )
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1)
