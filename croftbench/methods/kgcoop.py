"""KgCoOp: learned prompts that stay near the hand-written ones.

Visual-Language Prompt Tuning with Knowledge-guided Context Optimization, CVPR 2023, arXiv 2303.13283.
Code of the authors: htyao89/KgCoOp.

CoOp's context, with a penalty on how far the class features move away from those of hand-written prompts:

    min over v:   CE( s z t(v)^T, y ) + lambda mean_c ( 1 - <t_c(v), e_c> )                               (1)
    t_c(v) = u( g( [SOS] v_1 ... v_M  <name of c>. [EOS] ) )                                              (2)

    v      (M, W)  learned context, starts as given words           y   (B,)    labels
    g              frozen text tower, read at [EOS]                 s           logit scale
    f      (B, D)  raw image features                               u(x)        x / |x|, row by row
    z      (B, D)  u(f)                                             t   (C, D)  class features
    e      (C, D)  unit-norm features of the hand-written prompts, here the suite's
    lambda         `weight`

(1) is the published code. The paper writes the squared Euclidean distance |t_c - e_c|^2 with the same lambda of 8; it
is 2 - 2 <t_c, e_c>, so that `weight=16` is the paper's equation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["KgCoOp", "objective"]


def objective(z: Tensor, t: Tensor, e: Tensor, y: Tensor, s: float, weight: float) -> Tensor:
    """Equation (1)."""
    return cross_entropy(s * z @ t.T, y) + weight * (1 - (t * e).sum(1).mean())


@dataclass(frozen=True)
class KgCoOp:
    """Hyper-parameters of KgCoOp; the defaults are those of the authors' base-to-new script.

    Attributes:
        weight: lambda, of the distance to the hand-written prompts; 0 is CoOp.
        words: what the context starts as; N(0, 0.02^2) if empty.
        n_ctx: M, context vectors, where `words` is empty; otherwise M is the number of their tokens.
        recipe: the optimiser; weight decay is the default of Dassl, which the published configuration leaves alone.
    """

    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # htyao89/KgCoOp, scripts/base2new_train.sh, run.sh and configs/trainers/KgCoOp/vit_b16_ep100_ctxv1.yaml: the
    # defaults. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    weight: float = 8.0
    words: str = "a photo of a"
    n_ctx: int = 4
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=100, batch=128, weight_decay=5e-4))

    def __post_init__(self) -> None:
        if self.n_ctx < 1:
            raise ValueError("n_ctx must be 1 or more")

    def fit(self, task: Task, /) -> Predictor:
        """Train the context for `recipe.epochs` and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower = task.towers.text
        prompts = Prompts(tower, task.classnames)
        s, rng = task.logit_scale, task.generator()
        e = unit(task.text)
        v = initial_context(tower, (self.n_ctx, tower.width), rng, self.words).requires_grad_()

        def loss(batch: Batch) -> Tensor:
            return objective(unit(batch.features), prompts.features(v), e, batch.labels, s, self.weight)

        descend(task, self.recipe, [v], rng, loss)

        def texts(names: tuple[str, ...], text: Tensor) -> Tensor:
            return Prompts(tower, names).features(v)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(texts, predict, task.classnames, task.text)
