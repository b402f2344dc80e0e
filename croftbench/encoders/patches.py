"""Local features: one vector for each place of an image, in the joint space of images and texts.

As in AtsuMiyai/LoCoOp and AtsuMiyai/GL-MCM, `clip_w_local/model.py`. What CLIP's last attention would mix over all
places is left unmixed, so that a place's vector is its own value, projected as the global feature is:

    ModifiedResNet    p_i = C(V(x_i))                         x  its last feature map, without position embedding
    VisionTransformer p_i = LN(h_i + MLP(LN_2(h_i))) Proj     x  what enters its last block
                      h_i = x_i + O(V(LN_1(x_i)))
    timm's, averaged  p_i = W x_i + b                         x  its last feature map

V, O and C are the value and output projections of the attention pool or of the last block's attention. A network of
timm's that is averaged over places and then projected mixes nothing else: its global feature is the mean of its local
ones. Towers run exactly as without local features: only what enters their last mixing is noted down on the way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from croftbench.errors import CroftbenchError

__all__ = ["before_projection", "encode", "refusal"]

AVERAGED = ("EfficientNet", "ResNet")
"""timm's classes whose head is a mean over places and nothing more."""


def encode(model: Any, pixels: Tensor, encoder_id: str = "this encoder") -> Tensor:
    """(B, 3, H, W) images -> (B, 1 + P, D): the global feature, bit for bit as without the others, and P places.

    Places are in reading order: row by row, from the upper left.

    Raises:
        CroftbenchError: the image tower is not one whose local features are defined (see `refusal`).
    """
    if reason := refusal(model):
        raise CroftbenchError(
            f"{encoder_id} has no local features: {reason}.", "Use a CLIP with OpenAI's ResNet or ViT image tower."
        )
    visual = model.visual
    kind = type(visual).__name__
    if kind == "ModifiedResNet":
        last, local = visual.attnpool, _of_resnet
    elif kind == "TimmModel":
        last, local = visual.trunk.global_pool, _of_timm
    else:
        last, local = visual.transformer.resblocks[-1], _of_transformer
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    try:
        whole: Tensor = model.encode_image(pixels)
    finally:
        hook.remove()
    return torch.cat([whole[:, None], local(visual, seen[0])], dim=1)


def refusal(model: Any) -> str:
    """Why an open_clip model has no local features; "" if it has."""
    visual = model.visual
    kind = type(visual).__name__
    if kind == "ModifiedResNet":
        return ""
    if kind == "TimmModel":
        return "" if _is_averaged(visual) else "its image tower is not averaged over places and then projected"
    if kind != "VisionTransformer":
        return f"its image tower is a {kind}"
    if visual.attn_pool is not None or visual.pool_type != "tok":
        return "its image tower is not read at the class token"
    if type(visual.transformer.resblocks[-1]).__name__ != "ResidualAttentionBlock":
        return "its image tower has modified attention blocks"
    return ""


def _is_averaged(visual: Any) -> bool:
    """Whether a network of timm's is features, their mean and a linear map; MobileNets, say, have more between them."""
    head = [name for name, _ in visual.head.named_children()]
    pooled = getattr(visual.trunk.global_pool, "pool_type", "") if type(visual.trunk).__name__ in AVERAGED else ""
    return pooled == "avg" and head == ["drop", "proj"]


def _of_timm(visual: Any, x: Tensor) -> Tensor:
    """(B, W, h, w) feature map -> (B, h w, D)."""
    local: Tensor = visual.head(x.flatten(2).mT)
    return local


def _of_resnet(visual: Any, x: Tensor) -> Tensor:
    """(B, W, h, w) feature map -> (B, h w, D)."""
    pool = visual.attnpool
    local: Tensor = pool.c_proj(pool.v_proj(x.flatten(2).mT))
    return local


def _of_transformer(visual: Any, x: Tensor) -> Tensor:
    """(B, 1 + P, W) that enters the last block -> (B, P, D)."""
    local = before_projection(visual, x)
    return local if visual.proj is None else local @ visual.proj


def before_projection(visual: Any, x: Tensor) -> Tensor:
    """(B, 1 + P, W) that enters a VisionTransformer's last block -> (B, P, W), what its projection makes places of."""
    block = visual.transformer.resblocks[-1]
    x = (x if visual.transformer.batch_first else x.transpose(0, 1))[:, 1:]
    attention, width = block.attn, x.shape[-1]
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[2 * width :]
    value = linear(block.ln_1(x), attention.in_proj_weight[2 * width :], bias)
    h = x + block.ls_1(attention.out_proj(value))
    local: Tensor = visual.ln_post(h + block.ls_2(block.mlp(block.ln_2(h))))
    return local
