"""Scores of image features against class features, neural-collapse scores among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croftbench.scorers.context import Context, NotApplicableError, Scorer, class_features, norm
from croftbench.scorers.odds import wide

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs

TINY = 1e-12


def vim(context: Context, dim: int = 0) -> Scorer:
    """Virtual-logit matching: energy less the part of the image that training images do not span, as a logit.

    ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022, arXiv 2203.10807.

        logsumexp_c(logit_c) - a |z R|,  R the eigenvectors of sum_i z_i z_i^T but the `dim` principal ones,
        a = mean_i max_c logit_c(z_i) / mean_i |z_i R|

    The paper's origin o = -(W^T)^+ b is 0, as cosines have no bias. dim = 0 is its rule, 1000 from 2048 features on
    and 512 below; up to 512 features, where that would leave nothing, half of them (OpenOOD's choice at 512); and
    never more than half the training images, which would span their own residual away.
    """
    train = context.outputs
    class_features(train)
    exact = _beyond_principal(train.features, dim)
    lengths = norm(train.features.cpu().double() @ exact)
    scale = float(train.logits.amax(1).mean()) / max(float(lengths.mean()), TINY)
    R = exact.to(train.features)

    def score(outputs: Outputs) -> Tensor:
        class_features(outputs)
        return outputs.logits.logsumexp(-1) - scale * norm(outputs.features @ R)

    return score


def residual(context: Context, dim: int = 0) -> Scorer:
    """Minus the length of the part of the image that training images do not span: ViM without its logits.

    ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022, arXiv 2203.10807.

        - |z R|,  R and `dim` as in `vim`
    """
    R = _beyond_principal(context.outputs.features, dim).to(context.outputs.features)
    return lambda outputs: -norm(outputs.features @ R)


def _beyond_principal(features: Tensor, dim: int) -> Tensor:
    """(D, D - dim) float64 on the CPU: the eigenvectors of sum_i z_i z_i^T but the principal ones."""
    import torch

    N, D = features.shape
    rule = 1000 if D >= 2048 else 512 if D > 512 else D // 2
    principal = dim or min(rule, N // 2)
    if principal >= min(N, D):
        raise NotApplicableError(f"{N} training images of {D} features have no residual beyond dim={principal}.")
    z = features.cpu().double()
    vectors: Tensor = torch.linalg.eigh(z.T @ z).eigenvectors  # of ascending eigenvalues
    return vectors[:, : D - principal]


def fdbd(context: Context) -> Scorer:
    """Mean distance to the decision boundaries, relative to the distance from the mean training image.

    Fast Decision Boundary based Out-of-Distribution Detector, ICML 2024, arXiv 2312.11536.

        1/(C-1) sum_{c != f} |z (w_f - w_c)| / |w_f - w_c|  /  |z - m|,  f the predicted class, m the training mean

    The logit scale cancels. Classes of equal features share no boundary; they count as distance 0.
    """
    m = context.outputs.features.mean(0)
    if len(context.classnames) < 2:
        raise NotApplicableError("one class has no decision boundary.")
    known: list[tuple[Tensor, Tensor]] = []  # class features and their gaps: the same for all chunks of most methods

    def score(outputs: Outputs) -> Tensor:
        w, cosines = class_features(outputs), outputs.logits / context.logit_scale
        if not known or not known[0][0].equal(w):
            known[:] = [(w.clone(), _gaps(w).to(cosines))]
        best, f = cosines.max(1)
        distances = (best[:, None] - cosines) / known[0][1][f]
        return distances.sum(1) / (len(w) - 1) / norm(outputs.features - m).clamp_min(TINY)

    return score


def _gaps(w: Tensor) -> Tensor:
    """(C, D) -> (C, C) float64 distances between class features; infinite for equal ones."""
    exact = wide(w)  # differences of near cosines cancel
    squares = exact.square().sum(1)
    gaps = (squares[:, None] + squares - 2 * exact @ exact.T).clamp_min(0).sqrt()
    return gaps.where(gaps.to(w) > 1e-6, float("inf"))


def nci(context: Context, alpha: float = 1e-4) -> Scorer:
    """Neural-collapse inspired: alignment of the centred image with its predicted class, plus a norm.

    Detecting Out-of-Distribution through the Lens of Neural Collapse, CVPR 2025, arXiv 2311.01479.

        w_f (z - m) / |z - m| + alpha |z|_1,  f the predicted class, m the training mean

    The second term is to catch features near the origin. Ours have unit length: their L1 norm only tells how evenly
    they spread over dimensions, and in no rotated basis. The authors choose alpha in 1e-4 ... 1e-1 on validation
    images; OpenOOD's default is kept, at which the term is small. alpha = 0 is the alignment alone.
    """
    m = context.outputs.features.mean(0)

    def score(outputs: Outputs) -> Tensor:
        z = outputs.features
        w = class_features(outputs)[outputs.logits.argmax(1)]  # (B, D)
        centred = z - m
        return (w * centred).sum(1) / norm(centred).clamp_min(TINY) + alpha * z.abs().sum(1)

    return score
