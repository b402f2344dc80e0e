"""Scores of the logits alone. They carry the logit scale s already, which is how CRoFT and its baselines use them.

Those that are probabilities are given as log-odds, see `odds`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from croftbench.scorers.context import Context, NotApplicableError, Scorer, class_features
from croftbench.scorers.odds import chance, top_odds, wide

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs


def energy(context: Context, T: float = 1.0) -> Scorer:
    """Negative free energy: T log sum_c exp(logit_c / T).

    Energy-based Out-of-distribution Detection, NeurIPS 2020, arXiv 2010.03759.

    As T falls it tends to the largest logit, as it grows, in order, to the mean logit. Large-margin logits (s = 100)
    are near the first end at the published T = 1.
    """
    return lambda outputs: T * (outputs.logits / T).logsumexp(-1)


def msp(context: Context) -> Scorer:
    """Log-odds of p, the largest softmax probability of the logits.

    A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks, ICLR 2017,
    arXiv 1610.02136.

        log p - log(1 - p) = max_c logit_c - logsumexp of the other logits

    It orders images as p does, which the paper has, and does not end at 1: p = 1 / (1 + e^-score).
    """
    _two_classes(context)
    return lambda outputs: top_odds(outputs.logits).to(outputs.logits)


def mcm(context: Context, T: float = 1.0) -> Scorer:
    """Maximum concept matching: log-odds of p, the largest softmax probability of the cosines (logits / s) over T.

    Delving into Out-of-Distribution Detection with Vision-Language Representations, NeurIPS 2022, arXiv 2211.13445.

        log p - log(1 - p) + log(C - 1),  0 where all C classes are equal

    It orders images as p does. At T = 1 / s it is `msp` up to the constant; the published T is 1, which flattens: it
    then counts how far the best class stands out from the mean of all.
    """
    C = _two_classes(context)
    s = context.logit_scale
    return lambda outputs: (top_odds(wide(outputs.logits) / (s * T)) + chance(C)).to(outputs.logits)


def max_logit(context: Context) -> Scorer:
    """Largest logit.

    Scaling Out-of-Distribution Detection for Real-World Settings, ICML 2022, arXiv 1911.11132.
    """
    return lambda outputs: outputs.logits.amax(-1)


def max_cosine(context: Context) -> Scorer:
    """Largest cosine of the image with a class, in [-1, 1].

    Hyperparameter-Free Out-of-Distribution Detection Using Cosine Similarity, ACCV 2020, arXiv 1905.10628.

    It orders images as `max_logit` does, in a unit that does not depend on the logit scale; a method whose logits are
    no cosines has none.
    """
    s = context.logit_scale

    def score(outputs: Outputs) -> Tensor:
        class_features(outputs)
        return outputs.logits.amax(-1) / s

    return score


def entropy(context: Context) -> Scorer:
    """Minus the Shannon entropy (nats) of the softmax of the logits, in [-log C, 0].

    A Mathematical Theory of Communication, Bell System Technical Journal 1948.

    Summed in float64: in float32 it is 0 for the images that a classifier is surest of.
    """

    def score(outputs: Outputs) -> Tensor:
        log_p = wide(outputs.logits).log_softmax(-1)
        return (log_p.exp() * log_p).sum(-1).to(outputs.logits)

    return score


def gen(context: Context, gamma: float = 0.1, top: int = 100) -> Scorer:
    """Minus the generalised entropy of the largest probabilities.

    GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection, CVPR 2023.

        - sum_j p_j^gamma (1 - p_j)^gamma  over the `top` largest softmax probabilities p_j, or over all, if fewer

    gamma and top are the authors' for ImageNet. In float64 and through log(1 - p), so that p near 1 still counts.
    """
    _two_classes(context)

    def score(outputs: Outputs) -> Tensor:
        from torch.nn.functional import logsigmoid

        log_p = wide(outputs.logits).log_softmax(-1).topk(min(top, outputs.logits.shape[-1]), dim=-1).values
        log_rest = (-log_p.exp()).log1p()
        log_rest[..., 0] = logsigmoid(-top_odds(outputs.logits))
        return -(gamma * (log_p + log_rest)).exp().sum(-1).to(outputs.logits)

    return score


def delta_energy(context: Context, c: int = 1) -> Scorer:
    """How much the energy falls when the image's largest cosines become 0.

    Delta Energy: Optimizing Energy Change During Vision-Language Alignment Improves both OOD Detection and OOD
    Generalization, NeurIPS 2025, arXiv 2510.11296.

        logsumexp_k(s cos_k) - logsumexp_k(s cos'_k),  cos' = cos with its c largest set to 0

    From the paper; the authors' code was not at hand. One cosine by default: the paper's "maximum cosine similarity".
    """
    C = _two_classes(context)
    if c >= C:
        raise NotApplicableError(f"of {C} classes none is left beside the c={c} largest.")

    def score(outputs: Outputs) -> Tensor:
        class_features(outputs)
        x = wide(outputs.logits)
        cropped = x.scatter(-1, x.topk(c, dim=-1).indices, 0.0)
        return (x.logsumexp(-1) - cropped.logsumexp(-1)).to(outputs.logits)

    return score


def margin(context: Context) -> Scorer:
    """Gap between the two largest logits: the log-ratio of the two largest probabilities, which does not saturate.

    Active Hidden Markov Models for Information Extraction, IDA 2001.

    There it is the difference of the probabilities themselves.
    """
    _two_classes(context)

    def score(outputs: Outputs) -> Tensor:
        best = outputs.logits.topk(2, dim=-1).values
        return best[..., 0] - best[..., 1]

    return score


def _two_classes(context: Context) -> int:
    """C, at least 2.

    Raises:
        NotApplicableError: there is one class.
    """
    if len(context.classnames) < 2:
        raise NotApplicableError("it compares two classes, and there is only one.")
    return len(context.classnames)
