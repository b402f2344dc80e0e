"""GL-MCM: zero-shot CLIP that also asks the places of an image which class they are.

GL-MCM: Global and Local Maximum Concept Matching for Zero-Shot Out-of-Distribution Detection.
IJCV 2025, arXiv 2304.04521. Code of the authors: AtsuMiyai/GL-MCM.

Nothing is trained, and the class is zero-shot CLIP's. The score `gl_mcm` adds to MCM the largest probability that any
place gives to any class:

    logits = s z t^T                                                                                      (1)
    m = max_c softmax( z t^T / tau )_c  +  lambda max_i,c softmax( p_i t^T / tau )_c                      (2)
    gl_mcm = log m - log(1 + lambda - m) + log(C - 1),  which increases with m and does not saturate      (3)

    f   (B, 1 + P, D)  raw features: of the image, then of its P places     z   (B, D)     u(f_0)
    e   (C, D)         text features                                        p   (B, P, D)  u(f_1 ... f_P)
    s                  logit scale                                          t   (C, D)     u(e)
    u(x)               x / |x|, row by row

A place's feature is its own value in CLIP's last attention, not mixed with the others': see encoders/patches.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.scorers.places import gl_mcm
from croftbench.training import unit

__all__ = ["GLMCM"]


@dataclass(frozen=True)
class GLMCM:
    """Hyper-parameters of GL-MCM.

    Attributes:
        lambda_local: weight of the places: 0.5 in the authors' script for ImageNet, whose images show one thing as
            ours do; 1 in the others.
        tau: temperature of both softmaxes.
    """

    ranges: ClassVar[Mapping[str, str]] = {"lambda_local": ">= 0", "tau": "> 0"}
    needs: ClassVar[Needs] = Needs(image="patches", train=False)
    version: ClassVar[int] = 2
    # AtsuMiyai/GL-MCM, scripts/eval_imagenet.sh: the defaults. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    lambda_local: float = 0.5
    tau: float = 1.0

    def __post_init__(self) -> None:
        if self.tau <= 0:
            raise ValueError("tau must be above 0")

    def fit(self, task: Task, /) -> Predictor:
        """Return the classifier made of the task's text features."""
        t = unit(task.text)  # (C, D)

        def predict(f: Tensor) -> Outputs:
            z, p = unit(f[:, 0]), unit(f[:, 1:])
            score = gl_mcm(z, p, t, self.lambda_local, self.tau)  # (3)
            return Outputs(task.logit_scale * z @ t.T, z, classes=t, scores={"gl_mcm": score})  # (1)

        return predict
