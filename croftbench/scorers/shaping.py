"""Scores that change the features and classify them again: the energy of s z' w^T.

These papers speak of activations after a ReLU: none is negative, and large ones stand out. CLIP's features have signs,
and -0.3 says as much as 0.3. Here "large" is by magnitude and a sign is kept, so that on features without negative
ones every score is the published one. What remains foreign is the basis: these coordinates are no activations of
units, and a rotation of the space, which leaves every cosine alone, changes these scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from croftbench.errors import UsageError
from croftbench.scorers.context import Context, Scorer, class_features

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs


def react(context: Context, p: float = 90.0, sides: Literal["two", "one"] = "two") -> Scorer:
    """Energy after features are clipped at the p-th percentile of the training images' coordinates.

    ReAct: Out-of-distribution Detection With Rectified Activations, NeurIPS 2021, arXiv 2111.12797.

        z' = clip(z, -c, c),  c the percentile of all |z_ij|;  sides=one: min(z, c),  c that of all z_ij

    "one" is the published formula to the letter, as others have used it on transformers' features; on features
    without negative ones both are the same.
    """
    import numpy as np

    values = context.outputs.features.cpu().numpy()
    if sides == "two":
        c = float(np.percentile(np.abs(values), p))
        return _energy_of(context, lambda z: z.clamp(-c, c))
    top = float(np.percentile(values, p))
    return _energy_of(context, lambda z: z.clamp(max=top))


def ash_p(context: Context, p: float = 60.0) -> Scorer:
    """Energy after pruning: the p percent of coordinates of least magnitude become 0.

    Extremely Simple Activation Shaping for Out-of-Distribution Detection, ICLR 2023, arXiv 2209.09858.

    See `croftbench/scorers/shaping.py` for what magnitude stands for.
    """
    return _energy_of(context, lambda z: _prune(z, p)[0])


def ash_b(context: Context, p: float = 65.0) -> Scorer:
    """Energy after pruning as `ash_p`; what is left shares the sum of magnitudes evenly, signs kept.

    Extremely Simple Activation Shaping for Out-of-Distribution Detection, ICLR 2023, arXiv 2209.09858.

        z'_j = sign(z_j) |z|_1 / k  for the k coordinates that are left
    """

    def shape(z: Tensor) -> Tensor:
        pruned, left, _ = _prune(z, p)
        share = z.abs().sum(1, keepdim=True) / left.shape[1]
        return pruned.zero_().scatter_(1, left, share.where(z.gather(1, left) >= 0, -share))

    return _energy_of(context, shape)


def ash_s(context: Context, p: float = 90.0) -> Scorer:
    """Energy after pruning as `ash_p` and scaling by exp(sum of magnitudes before / after).

    Extremely Simple Activation Shaping for Out-of-Distribution Detection, ICLR 2023, arXiv 2209.09858.

        z' = pruned z exp(|z|_1 / |pruned z|_1)

    Images whose few largest coordinates carry little of the whole are scaled most.
    """

    def shape(z: Tensor) -> Tensor:
        pruned, _, kept = _prune(z, p)
        return pruned * (z.abs().sum(1) / kept.clamp_min(1e-12)).exp()[:, None]

    return _energy_of(context, shape)


def scale(context: Context, p: float = 85.0) -> Scorer:
    """Energy after scaling by exp(sum of magnitudes / that of the largest); nothing is pruned.

    Scaling for Training Time and Post-hoc Out-of-distribution Detection Enhancement, ICLR 2024, arXiv 2310.00227.

        z' = z exp(|z|_1 / |pruned z|_1),  pruned as in `ash_p`

    p is the authors' for ImageNet.
    """

    def shape(z: Tensor) -> Tensor:
        _, _, kept = _prune(z, p)
        return z * (z.abs().sum(1) / kept.clamp_min(1e-12)).exp()[:, None]

    return _energy_of(context, shape)


def _prune(z: Tensor, p: float) -> tuple[Tensor, Tensor, Tensor]:
    """(B, D) features with p percent of each row zeroed, (B, k) places of the others, (B,) their summed magnitude."""
    D = z.shape[1]
    k = D - round(D * p / 100)
    if k < 1:
        raise UsageError(f"p={p:g} leaves none of {D} coordinates.", "Choose a smaller p.")
    magnitudes, left = z.abs().topk(k, dim=1)
    return z.new_zeros(z.shape).scatter_(1, left, z.gather(1, left)), left, magnitudes.sum(1)


def _energy_of(context: Context, shape: Callable[[Tensor], Tensor]) -> Scorer:
    s = context.logit_scale

    def score(outputs: Outputs) -> Tensor:
        return (s * shape(outputs.features) @ class_features(outputs).T).logsumexp(-1)

    return score
