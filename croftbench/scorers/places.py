"""What methods share that look at places in an image."""

from __future__ import annotations

import torch
from torch import Tensor

from croftbench.scorers.context import NotApplicableError
from croftbench.scorers.odds import chance, mean_odds, top_odds

__all__ = ["gl_mcm"]

BLOCK = 2**24
"""Cosines in float64 at once: 128 MiB of them."""


def gl_mcm(z: Tensor, p: Tensor, t: Tensor, weight: float = 1.0, tau: float = 1.0) -> Tensor:
    """Global and local maximum concept matching, (B,); higher = more in-distribution.

        m = max_c softmax( z t^T / tau )_c  +  weight max_i,c softmax( p_i t^T / tau )_c      in (0, 1 + weight)

    Miyai et al., "GL-MCM: Global and Local Maximum Concept Matching for Zero-Shot Out-of-Distribution Detection",
    IJCV 2025. Of cosines, without the logit scale. Returned is q = m / (1 + weight), a mean of two probabilities, as
    log q - log(1 - q) + log(C - 1): 0 where all C classes are equal, and in the order of m.

    Args:
        z: (B, D) unit-norm features of the images.
        p: (B, P, D) unit-norm features of their places.
        t: (C, D) unit-norm features of the classes.
        weight: of the places, at least 0.
        tau: temperature of both.

    Raises:
        NotApplicableError: there is one class.
    """
    if len(t) < 2:
        raise NotApplicableError("gl_mcm compares two classes, and there is only one.")
    rows = max(1, BLOCK // (p.shape[1] * len(t)))
    local = torch.cat([top_odds(part @ t.T / tau).amax(-1) for part in torch.split(p, rows)])
    both = torch.stack([top_odds(z @ t.T / tau), local], dim=-1)
    return (mean_odds(both, torch.tensor([1.0, weight]).to(both)) + chance(len(t))).to(z)
