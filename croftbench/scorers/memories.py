"""Scores that hold an image against what the classifier said of the training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croftbench.scorers.context import Context, NotApplicableError, Scorer
from croftbench.scorers.distances import BLOCK, unit
from croftbench.scorers.odds import wide

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs


def nnguide(context: Context, k: int = 10) -> Scorer:
    """Energy times the mean similarity to the k training images that are likest it and surest.

    Nearest Neighbor Guidance for Out-of-Distribution Detection, ICCV 2023, arXiv 2309.14888.

        E(x) mean_k of the largest E(b) u(z) u(b)^T,  E the logsumexp of the logits, u(v) = v / (|v| + 1e-10),
        b the training images

    k is that of the authors' code. They draw 1% of ImageNet's training images; few-shot sets are small, so all are
    taken, as in their other experiments.
    """
    train = context.outputs
    if k > len(train.features):
        raise NotApplicableError(f"it needs {k} training images and there are {len(train.features)}; lower its k.")
    bank = unit(train.features) * train.logits.logsumexp(-1, keepdim=True)

    def score(outputs: Outputs) -> Tensor:
        z = unit(outputs.features)
        guidance = z.new_empty(len(z))
        rows = max(1, BLOCK // len(bank))
        for start in range(0, len(z), rows):
            part = z[start : start + rows] @ bank.T
            guidance[start : start + rows] = part.topk(k, sorted=False).values.mean(1)
        return guidance * outputs.logits.logsumexp(-1)

    return score


def she(context: Context) -> Scorer:
    """Inner product with the predicted class's pattern: the mean feature of its training images that were recognised.

    Out-of-Distribution Detection based on In-Distribution Data Patterns Memorization with Modern Hopfield Energy,
    ICLR 2023.

        z S_f^T,  f the predicted class, S_c the mean of z_i over y_i = c = the prediction of i

    A class none of whose images is recognised has no pattern as published. Few shots make such classes, so it takes
    all its images instead.
    """
    import torch

    train, labels = context.outputs, context.labels.to(context.outputs.logits.device)
    C = train.logits.shape[1]
    missing = C - len(torch.unique(labels))
    if missing:
        raise NotApplicableError(f"{missing} of {C} classes have no training image, so no pattern.")
    right = train.logits.argmax(1) == labels
    recognised = torch.zeros(C, dtype=torch.bool, device=labels.device).index_fill_(0, labels[right], True)
    taken = right | ~recognised[labels]
    patterns, counts = (  # in an order of the classes, not of the images
        torch.zeros((C, *values.shape[1:]), dtype=torch.float64, device=labels.device).index_add_(
            0, labels[taken], values[taken].double()
        )
        for values in (train.features, torch.ones_like(train.features[:, :1]))
    )
    S = (patterns / counts).to(train.features)

    def score(outputs: Outputs) -> Tensor:
        return (outputs.features * S[outputs.logits.argmax(1)]).sum(1)

    return score


def kl_matching(context: Context) -> Scorer:
    """Minus the Kullback-Leibler divergence from the nearest class's mean softmax.

    Scaling Out-of-Distribution Detection for Real-World Settings, ICML 2022, arXiv 1911.11132.

        - min_c sum_k p_k log(p_k / d_c,k),  p the softmax of the logits, d_c the mean p of the training images that
        are predicted as c

    The paper takes validation images. A class as which no image is predicted has no d. In float64, as log p: in
    float32 the small probabilities, which weigh here, would be 0.
    """
    import torch

    log_p = wide(context.outputs.logits).log_softmax(-1)  # (N, C)
    predicted = log_p.argmax(1)
    log_d = torch.stack(  # (C', C)
        [log_p[predicted == c].logsumexp(0) - (predicted == c).sum().double().log() for c in torch.unique(predicted)]
    )

    def score(outputs: Outputs) -> Tensor:
        log_q = wide(outputs.logits).log_softmax(-1)
        q = log_q.exp()
        divergences = (q * log_q).sum(1, keepdim=True) - q @ log_d.T  # (B, C')
        return -divergences.amin(1).to(outputs.logits)

    return score
