"""LoCoOp: CoOp whose classes are told to ignore the background; SCT: the same, the surer the image, the more.

LoCoOp: Few-Shot Out-of-Distribution Detection via Prompt Learning. NeurIPS 2023, arXiv 2306.01293.
Code of the authors: AtsuMiyai/LoCoOp.
Self-Calibrated Tuning of Vision-Language Models for Out-of-Distribution Detection. NeurIPS 2024, arXiv 2411.03359.
Code of the authors: tmlr-group/SCT, SCT/trainers/sct.py.

CoOp's context is learned, and the places of the training images that do not show their class serve as what is
out-of-distribution: there the classes' probabilities are made even.

    min over v:   CE( s z t(v)^T, y )  -  lambda mean over (i, j) in J of H(q_ij)                         (1)
    q_ij = softmax( s p_ij t(v)^T ),      H(q) = - sum_c q_c log( q_c + 1e-5 )                            (2)
    J    = { (i, j) : y_i is not among the K likeliest classes of place j of image i }                    (3)

    v      (M, W)     learned context, starts as N(0, 0.02^2)       y   (B,)    labels
    t(v)   (C, D)     u( g( [SOS] v_1 ... v_M  <name>.  [EOS] ) )   s           logit scale
    g                 frozen text tower, read at [EOS]              K           `top` of the C classes
    z      (B, D)     unit-norm features of the images              u(x)        x / |x|, row by row
    p      (B, P, D)  unit-norm features of their places

Without a place in J the second term is 0. The score `gl_mcm` is the authors' for it: GL-MCM with weight 1.

The places of an image that is not recognised yet are background no one can trust. SCT weighs by p_i, the probability of
y_i in the softmax of s z_i t(v)^T, with its gradient, and eps = 1e-7:

    min over v:   mean_i ( 1 + eps - p_i ) CE_i  -  lambda mean over (i, j) in J of ( eps + p_i ) H(q_ij)     (4)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.scorers.places import gl_mcm
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["SCT", "LoCoOp", "mean_entropy"]

EPS = 1e-5
SCT_EPS = 1e-7

Loss = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(logits of the images (B, C), of their places (B, P, C), labels (B,), K) -> scalar."""


def mean_entropy(logits: Tensor, y: Tensor, k: int, weights: Tensor | None = None) -> Tensor:
    """Mean H(q) over the places that J keeps, a scalar. Equations (2) and (3).

    Args:
        logits: (B, P, C), s p t^T.
        y: (B,) labels.
        k: K.
        weights: (B,) of the images, for (4).
    """
    of_label = logits.gather(-1, y[:, None, None].expand(-1, logits.shape[1], 1))
    kept = (logits > of_label).sum(-1) >= k  # (B, P)
    q = logits[kept].softmax(-1)  # (|J|, C)
    if not len(q):
        return logits.new_zeros(())
    H = -(q * (q + EPS).log()).sum(-1)
    return H.mean() if weights is None else (H * weights[:, None].expand(kept.shape)[kept]).mean()


def fit(task: Task, recipe: Recipe, n_ctx: int, top: float, tau: float, loss: Loss) -> Predictor:
    """Train a context on a loss of images and places, and return the classifier of the last epoch's prompts."""
    tower, s, rng = task.towers.text, task.logit_scale, task.generator()
    prompts = Prompts(tower, task.classnames)
    k = max(1, round(top * len(task.classnames)))
    v = initial_context(tower, (n_ctx, tower.width), rng).requires_grad_()

    def of_batch(batch: Batch) -> Tensor:
        logits = s * unit(batch.features) @ prompts.features(v).T  # (B, 1 + P, C)
        return loss(logits[:, 0], logits[:, 1:], batch.labels, k)

    descend(task, recipe, [v], rng, of_batch)

    def texts(names: tuple[str, ...], text: Tensor) -> Tensor:
        return Prompts(tower, names).features(v)

    def predict(f: Tensor, t: Tensor) -> Outputs:
        z, p = unit(f[:, 0]), unit(f[:, 1:])
        return Outputs(s * z @ t.T, z, classes=t, scores={"gl_mcm": gl_mcm(z, p, t, tau=tau)})

    return Renaming(texts, predict, task.classnames, task.text)


@dataclass(frozen=True)
class LoCoOp:
    """Hyper-parameters of LoCoOp.

    Attributes:
        n_ctx: M, context vectors.
        lambda_ood: lambda, weight of the places' entropy.
        top: K as a share of the classes, rounded, at least one class. The authors take 200 of ImageNet's 1,000, and
            advise 20 for 100 classes (their repository's issue 6).
        tau: temperature of the score, as in GL-MCM.
        recipe: the optimiser; 50 epochs as published, weight decay as in Dassl's own defaults.
    """

    needs: ClassVar[Needs] = Needs(image="patches", text="tower")
    version: ClassVar[int] = 2
    # AtsuMiyai/LoCoOp, README.md and configs/trainers/LoCoOp/vit_b16_ep50.yaml, for 1 shot and for 16: the defaults.
    # CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    n_ctx: int = 16
    lambda_ood: float = 0.25
    top: float = 0.2
    tau: float = 1.0
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=50, weight_decay=5e-4))

    def __post_init__(self) -> None:
        if self.n_ctx < 1 or not 0 < self.top <= 1 or self.tau <= 0:
            raise ValueError("n_ctx must be 1 or more, top a share of the classes above 0, and tau above 0")

    def fit(self, task: Task, /) -> Predictor:
        """Train the context on (1) for `recipe.epochs` and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """

        def loss(images: Tensor, places: Tensor, y: Tensor, k: int) -> Tensor:
            return cross_entropy(images, y) - self.lambda_ood * mean_entropy(places, y, k)  # (1)

        return fit(task, self.recipe, self.n_ctx, self.top, self.tau, loss)


@dataclass(frozen=True)
class SCT(LoCoOp):
    """Hyper-parameters of self-calibrated tuning: LoCoOp's, 25 epochs as published."""

    version: ClassVar[int] = 1
    # tmlr-group/SCT, README.md: vit_b16_ep25, 16 tokens, lambda 0.25, K 200, for 1 shot and for 16: the defaults.
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=25, weight_decay=5e-4))

    def fit(self, task: Task, /) -> Predictor:
        """Train the context on (4) for `recipe.epochs` and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """

        def loss(images: Tensor, places: Tensor, y: Tensor, k: int) -> Tensor:
            p = images.softmax(-1).gather(-1, y[:, None])[:, 0]
            known = ((1 + SCT_EPS - p) * cross_entropy(images, y, reduction="none")).mean()
            return known - self.lambda_ood * mean_entropy(places, y, k, SCT_EPS + p)  # (4)

        return fit(task, self.recipe, self.n_ctx, self.top, self.tau, loss)
