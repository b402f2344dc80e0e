"""Image features before the image tower's last map, and that map: feature = x weight + bias.

For a VisionTransformer x is the last block's class token after its norm, and the map is `proj`, without a bias; for a
ModifiedResNet x is what its attention pool mixes, and the map is the pool's output projection; for a network of timm's
that is averaged over places x is that mean, and the map is the linear layer behind it.

Places before the projection are a VisionTransformer's alone: its projection stands behind the whole tower and is the
same for class token and places. A convolutional tower's is the second half of its pooling, and the methods here take
its places behind it, as their authors do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from croftbench.encoders import patches
from croftbench.errors import CroftbenchError
from croftbench.method import Projection

__all__ = ["encode", "encode_patches", "patches_refusal", "projection", "refusal"]

HINT = "Use a CLIP with OpenAI's ResNet or ViT image tower."


def encode(model: Any, pixels: Tensor, encoder_id: str = "this encoder") -> Tensor:
    """(B, 3, H, W) images -> (B, W).

    Raises:
        CroftbenchError: the tower has no such map (see `refusal`).
    """
    _check(refusal(model), f"{encoder_id} has no features before a projection", HINT)
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


def encode_patches(model: Any, pixels: Tensor, encoder_id: str = "this encoder") -> Tensor:
    """(B, 3, H, W) images -> (B, 1 + P, W): as `encode`, bit for bit, then P places as `patches.encode` orders them.

    Raises:
        CroftbenchError: the tower has no places before a projection (see `patches_refusal`).
    """
    _check(patches_refusal(model), f"{encoder_id} has no places before a projection", "Use a CLIP with a ViT tower.")
    seen: list[Tensor] = []
    last = model.visual.transformer.resblocks[-1]
    hook = last.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    try:
        whole = encode(model, pixels, encoder_id)
    finally:
        hook.remove()
    return torch.cat([whole[:, None], patches.before_projection(model.visual, seen[0])], dim=1)


def projection(model: Any, encoder_id: str = "this encoder") -> Projection:
    """The map itself, copied.

    Raises:
        CroftbenchError: the tower has none (see `refusal`).
    """
    _check(refusal(model), f"{encoder_id} has no features before a projection", HINT)
    visual = model.visual
    kind = type(visual).__name__
    if kind == "VisionTransformer":
        return Projection(visual.proj.detach().clone())
    last = visual.attnpool.c_proj if kind == "ModifiedResNet" else visual.head.proj
    bias = None if last.bias is None else last.bias.detach().clone()
    return Projection(last.weight.detach().T.clone(), bias)


def refusal(model: Any) -> str:
    """Why an open_clip model has no such map; "" if it has."""
    if reason := patches.refusal(model):
        return reason
    return "its image tower ends without a projection" if getattr(model.visual, "proj", 0) is None else ""


def patches_refusal(model: Any) -> str:
    """Why an open_clip model has no places before such a map; "" if it has."""
    kind = type(model.visual).__name__
    return refusal(model) if kind == "VisionTransformer" else f"its image tower is a {kind}"


def _check(reason: str, what: str, hint: str) -> None:
    if reason:
        raise CroftbenchError(f"{what}: {reason}.", hint)


def _pooled(pool: Any, x: Tensor) -> Tensor:
    """(B, W, h, w) feature map -> (B, W), the mean's query over mean and places."""
    x = x.flatten(2).mT
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + pool.positional_embedding
    q, k, v = (
        part.view(*part.shape[:2], pool.num_heads, -1).transpose(1, 2)
        for part in (pool.q_proj(x[:, :1]), pool.k_proj(x), pool.v_proj(x))
    )
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1)
