"""Linear probe: logistic regression on the image features; the class names are not used.

Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, arXiv 2103.00020.

The measure of a frozen image encoder in CLIP's paper, by scikit-learn's L-BFGS with at most 1000 iterations:

    min over W, b:   C sum_i mean_v CE( W z_iv + b, y_i ) + |W|^2 / 2                                     (1)
    logits = W z + b

    f      (V, N, D)  raw features of N images in V views   W      (K, D)  weights of K classes
    z      (V, N, D)  u(f)                                  b      (K,)    biases, not penalised
    y      (N,)       labels                                C              inverse strength of the penalty
    u(x)              x / |x|, row by row

All views are training examples, each with the weight 1/V, so C means the same for any V. Training images are seen only
through augmentation here, and one view alone stands for its image badly.

Features have unit length, as zero-shot CLIP sees them, so that C does not depend on how long an encoder's are. CLIP's
README fits raw ones, with C = 0.316: for features of length 10 that is the default here, 31.6. The paper chooses C anew
for each data set, on validation images, and so does `sweep`, after KaiyangZhou/CoOp (lpclip/linear_probe.py): the best
of seven powers of ten, then eight halvings of the interval around it. Where a suite has no validation images nothing
is swept. On training images: `croftbench tune linear-probe --grid C=3.16,10,31.6,100,316`.

The softmax of the logits is the regression's probabilities. They are not scaled cosines: the logit scale plays no part,
and a score that divides by it (mcm) takes another temperature than it takes elsewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from croftbench.errors import DataError
from croftbench.method import Examples, Needs, Outputs, Predictor, Recipes, Task, later
from croftbench.training import images_per_class, unit

__all__ = ["LinearProbe"]

COARSE = (6.0, 4.0, 2.0, 0.0, -2.0, -4.0, -6.0)
"""Powers of ten that C is sought among first."""
HALVINGS = 8


@dataclass(frozen=True)
class LinearProbe:
    """Hyper-parameters of the linear probe.

    Attributes:
        C: inverse strength of the penalty on W.
        max_iter: iterations of L-BFGS, after which the weights are taken as they are.
        sweep: choose C on validation images.
    """

    ranges: ClassVar[Mapping[str, str]] = {"C": "> 0", "max_iter": ">= 1"}
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    recipes: ClassVar[Recipes] = {"authors": {"sweep": True}, "croft-comparison": {}}  # CRoFT does not compare with it

    C: float = 31.6
    max_iter: int = 1000
    sweep: bool = later(False)

    def fit(self, task: Task, /) -> Predictor:
        """Fit the regression, on the CPU, and return the classifier.

        Raises:
            DataError: one class only, or a class without training images.
        """
        _check(task)
        chosen = self if task.val is None or not self.sweep else self.swept(task.train, task.val, len(task.classnames))
        W, b = chosen.solve(task.train, len(task.classnames))

        def predict(f: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=z @ W.T + b, features=z)

        return predict

    def swept(self, train: Examples, val: Examples, classes: int) -> LinearProbe:
        """The same with the C that is right most often on validation images."""
        z = unit(val.views[0])

        def right(exponent: float) -> float:
            W, b = replace(self, C=10**exponent).solve(train, classes)
            return ((z @ W.T + b).argmax(1) == val.labels).sum().item()

        best = max(COARSE, key=right)  # the first of equals
        low, high = best - 1.0, best + 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            best, low, high = (high, middle, high) if right(low) < right(high) else (low, low, middle)
        return replace(self, C=10**best)

    def solve(self, train: Examples, classes: int) -> tuple[Tensor, Tensor]:
        """W, (K, D), and b, (K,), of equation (1)."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        views = train.views
        z = unit(views).flatten(0, 1).cpu().numpy()
        y = train.labels.repeat(len(views)).cpu().numpy()
        model = LogisticRegression(C=self.C / len(views), max_iter=self.max_iter)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(z, y)
        W, b = (torch.from_numpy(x).to(views) for x in (model.coef_, model.intercept_))
        if classes == 2:  # scikit-learn has one row then, the difference of the two logits
            W, b = torch.cat([-W / 2, W / 2]), torch.cat([-b / 2, b / 2])
        return W, b


def _check(task: Task) -> None:
    if len(task.classnames) < 2:
        raise DataError("linear-probe tells classes apart, and there is only one.", "Choose another method.")
    images_per_class(task, "linear-probe")
