"""LoCoOp: CoOp whose classes are told to ignore the background.

LoCoOp: Few-Shot Out-of-Distribution Detection via Prompt Learning. NeurIPS 2023, arXiv 2306.01293.
Code of the authors: AtsuMiyai/LoCoOp.

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
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.scorers.places import gl_mcm
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["LoCoOp", "mean_entropy"]

EPS = 1e-5


def mean_entropy(logits: Tensor, y: Tensor, k: int) -> Tensor:
    """Mean H(q) over the places that J keeps, a scalar; `logits` (B, P, C) are s p t^T. Equations (2) and (3)."""
    of_label = logits.gather(-1, y[:, None, None].expand(-1, logits.shape[1], 1))
    q = logits[(logits > of_label).sum(-1) >= k].softmax(-1)  # (|J|, C)
    if not len(q):
        return logits.new_zeros(())
    return -(q * (q + EPS).log()).sum(-1).mean()


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
        """Train the context for `recipe.epochs` and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower, s, rng = task.towers.text, task.logit_scale, task.generator()
        prompts = Prompts(tower, task.classnames)
        k = max(1, round(self.top * len(task.classnames)))
        v = initial_context(tower, (self.n_ctx, tower.width), rng).requires_grad_()

        def loss(batch: Batch) -> Tensor:
            logits = s * unit(batch.features) @ prompts.features(v).T  # (B, 1 + P, C)
            entropy = mean_entropy(logits[:, 1:], batch.labels, k)
            return cross_entropy(logits[:, 0], batch.labels) - self.lambda_ood * entropy  # (1)

        descend(task, self.recipe, [v], rng, loss)

        def texts(names: tuple[str, ...], text: Tensor) -> Tensor:
            return Prompts(tower, names).features(v)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z, p = unit(f[:, 0]), unit(f[:, 1:])
            return Outputs(s * z @ t.T, z, classes=t, scores={"gl_mcm": gl_mcm(z, p, t, tau=self.tau)})

        return Renaming(texts, predict, task.classnames, task.text)
