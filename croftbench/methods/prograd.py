"""ProGrad: learned prompts that are never moved against what zero-shot CLIP knows.

Prompt-aligned Gradient for Prompt Tuning, ICCV 2023, arXiv 2205.14865. Code of the authors: BeierZhu/Prompt-align.

CoOp's context, where the part of each gradient step that would take the predictions away from those of hand-written
prompts is left out:

    G_d = d/dv CE( s z t(v)^T, y )                                              domain direction          (1)
    G_g = d/dv T^2 mean_i KL( softmax(s z_i e^T / T) || softmax(s z_i t(v)^T / T) )   general direction   (2)
    v descends G_d where <G_d, G_g> >= 0, else  G_d - lambda <G_d, G_g> / |G_g|^2 G_g                     (3)
    t_c(v) = u( g( [SOS] v_1 ... v_M  <name of c>. [EOS] ) )                                              (4)

    v      (M, W)  learned context; its last vectors start as given words, those before as zeros
    g              frozen text tower, read at [EOS]                 s           logit scale
    f      (B, D)  raw image features                               u(x)        x / |x|, row by row
    z      (B, D)  u(f)                                             t   (C, D)  class features
    e      (C, D)  unit-norm features of the hand-written prompts, here the suite's
    y      (B,)    labels                                           T           `temperature`
    lambda         `projection`; 1 makes the step orthogonal to G_g

Momentum and weight decay act on the projected gradient, as published.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from croftbench.errors import UsageError
from croftbench.method import Needs, Outputs, Predictor, Recipes, Task, TextTower, later
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, optimiser, train, unit

__all__ = ["ProGrad", "aligned", "divergence"]


def divergence(logits: Tensor, zero_shot: Tensor, T: float) -> Tensor:
    """What (2) differentiates, from the (B, C) logits of both."""
    log_p, log_p0 = (logits / T).log_softmax(1), (zero_shot / T).log_softmax(1)
    return T**2 * kl_div(log_p, log_p0, reduction="batchmean", log_target=True)


def aligned(G_d: Tensor, G_g: Tensor, projection: float) -> Tensor:
    """Equation (3)."""
    conflict = (G_d * G_g).sum()
    removed = torch.where(conflict < 0, conflict / G_g.square().sum(), 0)
    return G_d - projection * removed * G_g


def words_of(template: str) -> str:
    """The words of a prompt without the class name, those behind it first."""
    before, _, behind = template.partition("{}")
    return ", ".join(part for part in (behind.strip(" ,."), before.strip(" ,.")) if part)


@dataclass(frozen=True)
class ProGrad:
    """Hyper-parameters of ProGrad; the defaults are those of the authors' script for 2 or 4 shots.

    Attributes:
        projection: lambda; 1 was published, 0.8 for many shots of Flowers102, DTD and EuroSAT. 0 is CoOp.
        temperature: T, of both predictions in (2).
        n_ctx: M, context vectors.
        words: what the last of them start as; all start as N(0, 0.02^2) if empty.
        recipe: the optimiser; weight decay is the default of Dassl, which the published configuration leaves alone.
        from_template: where the suite has one prompt, its words in place of `words`, what stands behind the class
            name before the rest: "a type of pet, a photo of a". The published code writes such a list by hand.
    """

    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # BeierZhu/Prompt-align, ProGrad.public/README.md and configs/trainers/ProGrad: rn50_ep50 for 1 shot, _ep100 for 2
    # or 4, rn50 beyond; trainers/prograd.py takes the words from the data set's template. CRoFT does not compare
    # with it.
    recipes: ClassVar[Recipes] = {
        "authors": {"epochs": {1: 50, 2: 100, 8: 200}, "from_template": True},
        "croft-comparison": {},
    }

    projection: float = 1.0
    temperature: float = 1.0
    n_ctx: int = 16
    words: str = "a photo of a"
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=100, weight_decay=5e-4))
    from_template: bool = later(False)

    def __post_init__(self) -> None:
        if self.n_ctx < 1:
            raise ValueError("n_ctx must be 1 or more")
        if self.temperature <= 0:
            raise ValueError("temperature must be above 0")

    def initial(self, tower: TextTower, rng: torch.Generator, templates: tuple[str, ...] = ()) -> Tensor:
        """The context v before training.

        Raises:
            UsageError: the words have more than `n_ctx` tokens.
        """
        words = (words_of(templates[0]) if self.from_template and len(templates) == 1 else "") or self.words
        v = initial_context(tower, (self.n_ctx, tower.width), rng, words)
        n = len(v)
        if n > self.n_ctx:
            raise UsageError(f"'{words}' has {n} tokens, but the context has {self.n_ctx}.", "Raise --set n_ctx=.")
        return torch.cat([v.new_zeros(self.n_ctx - n, tower.width), v])

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
        v = self.initial(tower, rng, task.templates).requires_grad_()
        by = optimiser([v], self.recipe)

        def step(batch: Batch) -> Tensor:
            z = unit(batch.features)
            logits = s * z @ prompts.features(v).T
            (G_g,) = torch.autograd.grad(divergence(logits, s * z @ e.T, self.temperature), v, retain_graph=True)
            loss = cross_entropy(logits, batch.labels)
            (G_d,) = torch.autograd.grad(loss, v)
            v.grad = aligned(G_d, G_g, self.projection)
            by.step()
            return loss.detach()

        train(task, self.recipe, [by], rng, step)

        def texts(names: tuple[str, ...], text: Tensor) -> Tensor:
            return Prompts(tower, names).features(v)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(texts, predict, task.classnames, task.text)
