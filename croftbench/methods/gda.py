"""GDA: Gaussian discriminant analysis of the training images, added to zero-shot CLIP; closed form.

A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation, ICLR 2024, arXiv 2402.04087.

Images of class c are taken for draws from a Gaussian with mean mu_c and a covariance that all classes share. The
logarithm of the classes' posterior is linear in the image then, and nothing is trained:

    logits(z) = s z t^T + alpha ( z W^T + b )                                                             (1)
    W = mu P,   b_c = log(1/C) - mu_c P mu_c^T / 2                                                        (2)
    P = D ( (N - 1) S + tr(S) I )^+                                                                       (3)

    f      (V, N', D)  raw features of N' images in V views      mu     (C, D)  class means of z
    z      (N, D)      u(f), all views: N = V N'                 S      (D, D)  covariance of z_i - mu_y(i), / (N - 1)
    t      (C, D)      u(text features)                          P      (D, D)  the shrunk inverse covariance
    s                  logit scale                               alpha          weight of the Gaussians
    u(x)               x / |x|, row by row                       ^+             pseudo-inverse

(3) is what the published code calls the KS estimator (mrflogs/ICLR24, main_few_shots.py). It writes 100 for s, which s
is for CLIP. It chooses alpha on validation images, from the powers of ten from 1e-4 to 100 (for ImageNet those are the
test images): `search`, which reads `Task.val`. Where a suite has no validation images alpha stays as it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from croftbench.method import Examples, Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import images_per_class, unit

__all__ = ["GDA", "gaussians"]

ALPHAS = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)


def gaussians(task: Task) -> tuple[Tensor, Tensor]:
    """W (C, D) and b (C,) of equation (2), in the type of the features.

    Raises:
        DataError: a class without a training image.
    """
    train, classes = task.train, len(task.classnames)
    z = unit(train.views).flatten(0, 1).double()
    y = train.labels.repeat(len(train.views))
    counts = images_per_class(task, "gda") * len(task.train.views)
    mu = z.new_zeros(classes, z.shape[1]).index_add_(0, y, z) / counts[:, None]
    S = (z - mu[y]).T.cov()
    D = z.shape[1]
    P = D * torch.linalg.pinv((len(z) - 1) * S + S.trace() * torch.eye(D).to(z))  # (3)
    W = mu @ P
    b = -math.log(classes) - (W * mu).sum(1) / 2  # (2)
    return W.to(train.views), b.to(train.views)


@dataclass(frozen=True)
class GDA:
    """Hyper-parameters of Gaussian discriminant analysis.

    Attributes:
        alpha: weight of the Gaussians; 0 is zero-shot CLIP.
        search: choose alpha on validation images; the first of equals.
    """

    ranges: ClassVar[Mapping[str, str]] = {"alpha": ">= 0"}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {"search": True}, "croft-comparison": {}}  # CRoFT does not compare with it

    alpha: float = 0.1
    search: bool = False

    def fit(self, task: Task, /) -> Predictor:
        """Estimate the Gaussians and return the classifier.

        Raises:
            DataError: a class without a training image.
        """
        W, b = gaussians(task)
        t, s = unit(task.text.to(W.dtype)), task.logit_scale

        def logits(z: Tensor, alpha: float) -> Tensor:
            return s * z @ t.T + alpha * (z @ W.T + b)  # (1)

        def right(alpha: float, val: Examples) -> int:
            return int((logits(unit(val.views[0]), alpha).argmax(1) == val.labels).sum())

        val = task.val
        chosen = max(ALPHAS, key=lambda alpha: right(alpha, val)) if self.search and val is not None else self.alpha

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=logits(z, chosen), features=z)

        return predict
