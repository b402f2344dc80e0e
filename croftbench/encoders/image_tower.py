"""The image transformer that a method trains through: a private copy, whose tokens and attention it may change."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from croftbench.encoders.blocks import half_on_cuda, through
from croftbench.encoders.patches import refusal as places_refusal
from croftbench.errors import CroftbenchError
from croftbench.method import Inside

__all__ = ["PixelTower", "refusal"]


class PixelTower:
    """An open_clip image transformer as `croftbench.method.ImageTower`.

    Attributes:
        width: W, the size of a token.
        blocks: how many blocks it has.

    Raises:
        CroftbenchError: it is not one that is read at its class token (see `refusal`).
    """

    width: int
    blocks: int

    def __init__(self, model: Any, encoder_id: str = "this encoder") -> None:
        """Copy the image tower of a frozen open_clip model: whatever is done to it, the encoder stays as it is."""
        if reason := refusal(model):
            raise CroftbenchError(
                f"the image tower of {encoder_id} cannot be trained through: {reason}.",
                "Use a CLIP with a ViT image tower, such as ViT-B-16/openai.",
            )
        self._visual = visual = copy.deepcopy(model.visual)
        self._blocks = list(visual.transformer.resblocks)
        self.width, self.blocks = int(visual.class_embedding.shape[0]), len(self._blocks)

    def encode(self, pixels: Tensor, prompts: Tensor | None = None, inside: Inside | None = None) -> Tensor:
        """(B, 3, H, W) pixels -> (B, D) raw features; see `croftbench.method.ImageTower`."""
        visual = self._visual
        with half_on_cuda(pixels.device):
            places = visual.conv1(pixels.to(visual.class_embedding.dtype)).flatten(2).mT  # (B, P, W)
            first = visual.class_embedding.expand(len(places), 1, -1)
            x = torch.cat([first, places], 1) + visual.positional_embedding
            if prompts is not None:
                x = torch.cat([x, prompts.expand(len(x), -1, -1)], 1)
            x = through(self._blocks, visual.ln_pre(x), inside or Inside(), causal=False)
            feature: Tensor = visual.ln_post(x[:, 0])
            if visual.proj is not None:
                feature = feature @ visual.proj
        return feature.to(visual.class_embedding.dtype)


def refusal(model: Any) -> str:
    """Why an open_clip model's image tower is not such a transformer; "" if it is."""
    kind = type(model.visual).__name__
    return places_refusal(model) if kind == "VisionTransformer" else f"its image tower is a {kind}"
