"""Random views of rendered glyphs, whole batches at a time: colours, styles, lighting, geometry."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(rgba: Tensor, mono: Tensor, rng: torch.Generator) -> Tensor:
    """(B, 4, H, W) drawings in [0, 1] -> (B, 3, H, W) training views in [0, 1].

    Args:
        rgba: straight (not premultiplied) colours and alpha.
        mono: (B,) bool, drawings whose shape alone matters: their colour is drawn at random.
        rng: all randomness.
    """
    n = len(rgba)

    def chance(p: float) -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=rng) < p

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(n, *(shape or (1, 1, 1)), generator=rng) * (high - low) + low

    colour, alpha = rgba[:, :3], rgba[:, 3:]
    light = (colour * torch.tensor([0.3, 0.59, 0.11])[:, None, None]).sum(1, keepdim=True)

    # Single-colour drawings: mostly dark on light; some strokes thickened.
    thick = F.max_pool2d(alpha, 3, stride=1, padding=1)
    shape = torch.where(chance(0.15), thick, alpha)
    ink = torch.where(chance(0.5), uniform(0, 0.2), torch.rand(n, 3, 1, 1, generator=rng))
    flat_ink = torch.where(mono[:, None, None, None], ink.expand(-1, 3, 1, 1), 0.0)

    # Coloured drawings lose or change their colours.
    mixing = torch.eye(3) + 0.35 * torch.randn(n, 3, 3, generator=rng) * chance(0.5)[:, 0]
    colour = (mixing @ colour.flatten(2)).reshape(colour.shape).clamp(0, 1)
    grey = chance(0.15)
    colour = torch.where(grey, light, colour)

    # ... or become another manner of drawing: silhouette with cut-outs, plain silhouette, line drawing.
    manner = torch.rand(n, 1, 1, 1, generator=rng)
    cut = ((light < uniform(0.25, 0.75)) ^ chance(0.3)).float() * alpha
    edges = F.conv2d(F.pad(torch.where(alpha > 0.5, light, 1.3), (1, 1, 1, 1), mode="replicate"), SOBEL).norm(
        dim=1, keepdim=True
    )
    lines = (edges * uniform(0.8, 2.5)).clamp(0, 1)
    drawn_shape = torch.where(
        manner < 0.14, cut, torch.where(manner < 0.19, alpha, torch.where(manner < 0.30, lines, -1.0))
    )
    as_shape = (drawn_shape >= 0) & ~mono[:, None, None, None]
    shape = torch.where(mono[:, None, None, None], shape, torch.where(as_shape, drawn_shape, alpha))
    colour = torch.where(mono[:, None, None, None], flat_ink, torch.where(as_shape, uniform(0, 0.25), colour))

    # Lighting, as shaded styles have it: a linear and a radial gradient over the object.
    size = rgba.shape[-1]
    axis = torch.linspace(-1, 1, size)
    angle = uniform(0, 2 * math.pi)
    ramp = axis[None, None, None, :] * angle.cos() + axis[None, None, :, None] * angle.sin()
    glow = (
        (axis[None, None, None, :] - uniform(-0.6, 0.6)) ** 2 + (axis[None, None, :, None] - uniform(-0.6, 0.6)) ** 2
    ) / 0.35
    shaded = colour * (1 + uniform(0, 0.45) * ramp) + uniform(0, 0.35) * torch.exp(-glow)
    colour = torch.where(chance(0.3) & ~as_shape, shaded.clamp(0, 1), colour)

    paper = torch.where(
        chance(0.75), torch.ones(()), 1 - uniform(0, 0.5, 3, 1, 1) * torch.rand(n, 1, 1, 1, generator=rng)
    )
    image = colour * shape + paper * (1 - shape)
    image = torch.where(chance(0.06), 1 - image, image)
    return jitter(image, chance, uniform)


def jitter(image: Tensor, chance, uniform) -> Tensor:
    """Mild affine jitter, mirroring, and blur; outside the canvas the border colour continues."""
    turn = uniform(-0.3, 0.3)[:, 0, 0, 0]
    scale = uniform(0.85, 1.3)[:, 0, 0, 0]
    stretch = uniform(0.9, 1.1)[:, 0, 0, 0]
    flip = torch.where(chance(0.5)[:, 0, 0, 0], -1.0, 1.0)
    theta = torch.zeros(len(image), 2, 3)
    theta[:, 0, 0] = turn.cos() * scale * stretch * flip
    theta[:, 0, 1] = -turn.sin() * scale
    theta[:, 1, 0] = turn.sin() * scale * flip
    theta[:, 1, 1] = turn.cos() * scale / stretch
    theta[:, :, 2] = uniform(-0.12, 0.12, 2)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    soft = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(chance(0.12), soft, image)


_X = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
SOBEL = torch.stack([_X, _X.T])[:, None]
