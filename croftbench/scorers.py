"""Detection scores: a classifier's outputs in, one number an image out; **higher = more in-distribution**, always.

A scorer takes `(outputs, scale)`: what the predictor returned for B images and the logit scale s that its logits were
multiplied by; it returns (B,) scores, in the precision and on the device of the logits. A score that also looks at
training images (distance to neighbours, class means) closes over them: a function of the training outputs that
returns a scorer of this same signature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from croftbench.errors import DataError, unknown

if TYPE_CHECKING:  # tensors bring their own methods: naming the scorers needs no torch
    from torch import Tensor

    from croftbench.method import Outputs

Scorer: TypeAlias = "Callable[[Outputs, float], Tensor]"
"""(Outputs of B images, logit scale) -> (B,) scores, higher = more in-distribution."""


def energy(outputs: Outputs, scale: float) -> Tensor:
    """Negative free energy at temperature 1: log sum_c exp(logit_c).

    Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020. The logits already carry the logit scale,
    which is how CRoFT uses it.
    """
    return outputs.logits.logsumexp(-1)


def msp(outputs: Outputs, scale: float) -> Tensor:
    """Largest softmax probability of the logits, in (1/C, 1].

    Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples", ICLR 2017.
    """
    return outputs.logits.softmax(-1).amax(-1)


def mcm(outputs: Outputs, scale: float) -> Tensor:
    """Maximum concept matching: largest softmax probability of the cosines (logits / scale), temperature 1.

    Ming et al., "Delving into Out-of-Distribution Detection with Vision-Language Representations", NeurIPS 2022.
    """
    return (outputs.logits / scale).softmax(-1).amax(-1)


def max_logit(outputs: Outputs, scale: float) -> Tensor:
    """Largest logit. Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World Settings", ICML 2022."""
    return outputs.logits.amax(-1)


def entropy(outputs: Outputs, scale: float) -> Tensor:
    """Minus the Shannon entropy (nats) of the softmax of the logits, in [-log C, 0]."""
    log_p = outputs.logits.log_softmax(-1)
    return (log_p.exp() * log_p).sum(-1)


def margin(outputs: Outputs, scale: float) -> Tensor:
    """Gap between the two largest logits: the log-ratio of the two largest probabilities, which does not saturate.

    After Scheffer et al., "Active Hidden Markov Models for Information Extraction", IDA 2001, who use probabilities.

    Raises:
        DataError: fewer than two classes.
    """
    if outputs.logits.shape[-1] < 2:
        raise DataError("the score 'margin' compares two classes, and there is only one.", "Choose another scorer.")
    best = outputs.logits.topk(2, dim=-1).values
    return best[..., 0] - best[..., 1]


SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {"energy": energy, "msp": msp, "mcm": mcm, "max_logit": max_logit, "entropy": entropy, "margin": margin}
)
"""Every scorer by the name that suites and the command line use."""


def get(name: str) -> Scorer:
    """The scorer of that name.

    Raises:
        UsageError: there is none; the message suggests the closest name.
    """
    if name not in SCORERS:
        raise unknown("scorer", name, SCORERS)
    return SCORERS[name]


def described() -> dict[str, str]:
    """Every scorer's name and the first line of what it says of itself."""
    return {name: (scorer.__doc__ or "").partition("\n")[0] for name, scorer in SCORERS.items()}
