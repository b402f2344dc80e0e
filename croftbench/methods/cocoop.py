"""CoCoOp: the words around the class names are learned, and moved by each image.

Conditional Prompt Learning for Vision-Language Models, CVPR 2022, arXiv 2203.05557.
Code of the authors: KaiyangZhou/CoOp.

CoOp's context, to which a small network of the image, the meta-net, adds one vector. Both towers stay frozen:

    min over v, A, a, B, b:   mean_i CE( s t(z_i) z_i, y_i )                                              (1)
    t_c(z) = u( g( [SOS] v_1 + p(z) ... v_M + p(z)  <name of c>. [EOS] ) )                                 (2)
    p(z) = B relu(A z + a) + b                                                                            (3)

    v      (M, W)       learned context                             y   (N,)       labels
    A, a   (D/16, D)    first layer of the meta-net                 s              logit scale
    B, b   (W, D/16)    second layer                                u(x)           x / |x|, row by row
    f      (N, D)       raw image features                          g              text tower, read at [EOS]
    z      (N, D)       u(f)                                        t   (N, C, D)  class features, image by image

N images have N C prompts, so the authors could afford one image a step. Here the tower computes the context once an
image and not once a prompt, the first layer's view of the names once for all images, and no padding: other batch sizes
are affordable, with the same result to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["CoCoOp", "Weights", "class_logits"]

REDUCTION = 16
CHUNK = 64
"""Images that are classified at once: their (CHUNK, C, D) class features are held together."""


class Weights(NamedTuple):
    """What is trained, as leaf tensors that require gradients."""

    v: Tensor
    A: Tensor
    a: Tensor
    B: Tensor
    b: Tensor

    @classmethod
    def initial(cls, v: Tensor, dim: int, rng: torch.Generator) -> Weights:
        """A context, and the meta-net as PyTorch starts linear layers: uniform in +-1/sqrt(inputs)."""
        hidden, width = max(1, dim // REDUCTION), v.shape[1]

        def uniform(inputs: int, *shape: int) -> Tensor:
            drawn = 2 * torch.rand(*shape, generator=rng, dtype=v.dtype) - 1
            return (drawn / math.sqrt(inputs)).to(v.device)

        layers = uniform(dim, hidden, dim), uniform(dim, hidden), uniform(hidden, width, hidden), uniform(hidden, width)
        return cls(*(x.requires_grad_() for x in (v, *layers)))


def class_logits(weights: Weights, z: Tensor, prompts: Prompts, s: float) -> Tensor:
    """The logits s t(z_i) z_i of N unit-norm image features, (N, C)."""
    v, A, a, B, b = weights
    p = linear(linear(z, A, a).relu(), B, b)  # (3), (N, W)
    t = prompts.features(v + p[:, None])  # (2), (N, C, D)
    return s * (t @ z[:, :, None]).squeeze(-1)


@dataclass(frozen=True)
class CoCoOp:
    """Hyper-parameters of CoCoOp.

    Attributes:
        n_ctx: M, context vectors; with `words`, M is the number of their tokens instead.
        words: what the context starts as, such as "a photo of a"; N(0, 0.02^2) if empty.
        recipe: the optimiser; the published code runs it in half precision, here it is float32.
    """

    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # KaiyangZhou/CoOp, scripts/cocoop/base2new_train.sh and configs/trainers/CoCoOp/vit_b16_c4_ep10_batch1_ctxv1.yaml;
    # weight decay is Dassl's default.
    recipes: ClassVar[Recipes] = {
        "authors": {"words": "a photo of a", "batch": 1, "epochs": 10, "weight_decay": 5e-4},
        "croft-comparison": {},
    }

    n_ctx: int = 16
    words: str = ""
    recipe: Recipe = field(default_factory=lambda: Recipe(batch=4))

    def __post_init__(self) -> None:
        if self.n_ctx < 1:
            raise ValueError("n_ctx must be 1 or more")

    def fit(self, task: Task, /) -> Predictor:
        """Train context and meta-net for `recipe.epochs` and return the classifier with the last epoch's.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower = task.towers.text
        prompts = Prompts(tower, task.classnames)
        s, rng = task.logit_scale, task.generator()
        v = initial_context(tower, (self.n_ctx, tower.width), rng, self.words)
        weights = Weights.initial(v, task.train.views.shape[-1], rng)

        def loss(batch: Batch) -> Tensor:
            logits = class_logits(weights, unit(batch.features), prompts, s)
            return cross_entropy(logits, batch.labels)  # (1)

        descend(task, self.recipe, weights, rng, loss)

        @torch.no_grad()
        def predict(f: Tensor, prompts: Prompts) -> Outputs:
            z = unit(f)
            logits = [class_logits(weights, chunk, prompts, s) for chunk in torch.split(z, CHUNK)]
            return Outputs(logits=torch.cat(logits), features=z)

        return Renaming(lambda names, text: Prompts(tower, names), predict, task.classnames, task.text)
