"""Probabilities as log-odds: they keep the order of images where every probability is 1 in float32.

    log-odds of p:  log p - log(1 - p),  in (-inf, inf), strictly increasing in p

Half of all confident images have a largest softmax probability of exactly 1 in float32. Such ties are no property of
a method, and AUROC and FPR95 change with them. Log-odds are computed from logits, in float64, without p itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """In float64; on the CPU where the device has none (MPS)."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def top_odds(logits: Tensor) -> Tensor:
    """Log-odds of the largest softmax probability: (..., C) -> (...), float64; C at least 2.

    The largest logit less the logsumexp of the others.
    """
    shifted = wide(logits) - wide(logits.amax(-1, keepdim=True))
    best = shifted.argmax(-1, keepdim=True)
    return -shifted.scatter_(-1, best, -math.inf).logsumexp(-1)


def mean_odds(odds: Tensor, weights: Tensor) -> Tensor:
    """Log-odds of a weighted mean of probabilities.

    Args:
        odds: (B, G) log-odds of G probabilities.
        weights: (G,) of the mean, none negative, some positive; they need not sum to 1.

    Returns:
        (B,) float64.
    """
    from torch.nn.functional import logsigmoid

    x = wide(odds)
    share = wide(weights).log()
    inside, outside = ((logsigmoid(side) + share).logsumexp(-1) for side in (x, -x))
    return inside - outside


def chance(classes: int) -> float:
    """Minus the log-odds of 1/C.

    Probabilities that all lie near 1/C are counted from there: a float32 is finest near 0.
    """
    return math.log(classes - 1)
