"""What methods share that look at places in an image."""

from __future__ import annotations

from torch import Tensor

__all__ = ["gl_mcm"]


def gl_mcm(z: Tensor, p: Tensor, t: Tensor, weight: float = 1.0, tau: float = 1.0) -> Tensor:
    """Global and local maximum concept matching, (B,); higher = more in-distribution.

        max_c softmax( z t^T / tau )_c  +  weight max_i,c softmax( p_i t^T / tau )_c

    Miyai et al., "GL-MCM: Global and Local Maximum Concept Matching for Zero-Shot Out-of-Distribution Detection",
    IJCV 2025. Of cosines, without the logit scale.

    Args:
        z: (B, D) unit-norm features of the images.
        p: (B, P, D) unit-norm features of their places.
        t: (C, D) unit-norm features of the classes.
        weight: of the places.
        tau: temperature of both.
    """
    return _mcm(z @ t.T / tau) + weight * _mcm(p @ t.T / tau).amax(-1)


def _mcm(x: Tensor) -> Tensor:
    """The largest softmax probability of each row, without the others: (..., C) -> (...)."""
    return (x.amax(-1) - x.logsumexp(-1)).exp()
