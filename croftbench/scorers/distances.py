"""Scores of how far an image's features are from those of the training images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from croftbench.scorers.context import Context, NotApplicableError, Scorer, norm

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs

BLOCK = 2**24
"""Distances held at once: 64 MiB of them."""

Covariance = Literal["ledoit-wolf", "empirical"]


def knn(context: Context, k: int = 50) -> Scorer:
    """Minus the squared distance to the k-th nearest training image; exact, features re-normalised.

    Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022, arXiv 2204.06507.

        - |u(z) - u(b)|^2,  u(v) = v / (|v| + 1e-10),  b the k-th nearest of the training images under the test
        transform

    OpenOOD's k; the authors chose 50 for CIFAR-10, 200 for CIFAR-100, 1000 for ImageNet on validation images. A k
    beyond the images a class has asks other classes too, so k = 1 may suit few shots.
    """
    bank = unit(context.outputs.features)
    if k > len(bank):
        raise NotApplicableError(f"it needs {k} training images and there are {len(bank)}; choose a smaller k.")
    squares = bank.square().sum(1)

    def score(outputs: Outputs) -> Tensor:
        z = unit(outputs.features)
        scores = z.new_empty(len(z))
        rows = max(1, BLOCK // len(bank))
        for start in range(0, len(z), rows):
            part = z[start : start + rows]
            distances = (part.square().sum(1, keepdim=True) + squares).addmm_(part, bank.T, alpha=-2)  # (rows, N)
            scores[start : start + rows] = _kth_smallest(distances, k).clamp_min(0).neg()
        return scores

    return score


def _kth_smallest(values: Tensor, k: int) -> Tensor:
    """(B, N) -> (B,) the k-th smallest of each row; the rows are left in another order.

    On a CPU by NumPy's partition, whose time does not grow with k: torch's `topk` takes five times as long at k = 1000.
    """
    if values.device.type != "cpu":
        return values.topk(k, largest=False, sorted=False).values.amax(1)
    values.detach().numpy().partition(k - 1, axis=1)
    return values[:, k - 1]


def unit(v: Tensor) -> Tensor:
    """Rows of unit length."""
    return v / (norm(v)[:, None] + 1e-10)


# ------------------------------------------------------------------------------------- Mahalanobis


def mahalanobis(context: Context, covariance: Covariance = "ledoit-wolf") -> Scorer:
    """Minus the Mahalanobis distance to the nearest class mean, one covariance for all classes.

    A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, NeurIPS 2018,
    arXiv 1807.03888.

        - min_c (z - m_c)^T S^-1 (z - m_c),  m_c the mean of class c,  S = 1/N sum_i (z_i - m_y(i)) (z_i - m_y(i))^T

    of the last features, without the paper's noise on images and ensemble of layers. With fewer images than some ten
    times D, the inverse of S is mostly noise, and with fewer than D it does not exist. The default shrinks S towards
    a multiple of the identity by Ledoit and Wolf's rule (JMVA 2004), which vanishes as images grow in number;
    "empirical" is S as published, with its pseudo-inverse, blind to what training images do not span.
    """
    means, residuals = _classes(context)
    distance = _quadratic(means, residuals, covariance, context.outputs.features)
    return lambda outputs: -distance(outputs.features).amin(1)


def relative_mahalanobis(context: Context, covariance: Covariance = "ledoit-wolf") -> Scorer:
    """Mahalanobis distance to the nearest class mean, less that to the mean of all training images; negated.

    A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection, ICML workshop UDL 2021, arXiv 2106.09022.

        - min_c ( d(z; m_c, S) - d(z; m_0, S_0) ),  m_0, S_0 the mean and covariance of all images, labels aside

    Both covariances as `mahalanobis` has them, divided by N, so S is small where classes have few images.
    """
    means, residuals = _classes(context)
    features = context.outputs.features
    every = features.cpu().double()
    centre = every.mean(0, keepdim=True)
    near = _quadratic(means, residuals, covariance, features)
    far = _quadratic(centre, every - centre, covariance, features)
    return lambda outputs: far(outputs.features)[:, 0] - near(outputs.features).amin(1)


def _classes(context: Context) -> tuple[Tensor, Tensor]:
    """(C', D) means of the classes that have images, (N, D) what the images differ from them by; float64, CPU."""
    import torch

    z, y = context.outputs.features.cpu().double(), context.labels.cpu()
    _, y, counts = torch.unique(y, return_inverse=True, return_counts=True)
    if counts.amax() < 2:
        raise NotApplicableError("every class has one training image, so none varies within its class.")
    means = z.new_zeros(len(counts), z.shape[1]).index_add_(0, y, z) / counts[:, None]
    return means, z - means[y]


def _quadratic(means: Tensor, residuals: Tensor, covariance: Covariance, like: Tensor) -> Callable[[Tensor], Tensor]:
    """(B, D) -> (B, C) distances (z - m_c)^T S^-1 (z - m_c), in the precision and on the device of `like`."""
    import torch

    if covariance == "ledoit-wolf":
        from sklearn.covariance import ledoit_wolf  # takes seconds to import, so only when it is asked for

        S = torch.from_numpy(ledoit_wolf(residuals.numpy(), assume_centered=True)[0])
    else:
        S = residuals.T @ residuals / len(residuals)
    values, vectors = torch.linalg.eigh(S)
    kept = values > len(S) * torch.finfo(values.dtype).eps * values[-1]
    whiten = vectors[:, kept] / values[kept].sqrt()  # (D, R), whiten whiten^T = S^-1 or its pseudo-inverse
    origin = means.mean(0)  # subtracted from both, or the squares below would cancel
    b = ((means - origin) @ whiten).to(like)  # (C, R)
    o, A = origin.to(like), whiten.to(like)

    def distances(z: Tensor) -> Tensor:
        a = (z - o) @ A  # (B, R)
        squares: Tensor = a.square().sum(1, keepdim=True) + b.square().sum(1)
        return squares.addmm_(a, b.T, alpha=-2).clamp_min_(0)

    return distances
