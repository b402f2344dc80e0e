"""TCP: in a late block of the text tower the context becomes the class's own, made from its zero-shot feature.

TCP: Textual-based Class-aware Prompt tuning for Visual-Language Model, CVPR 2024, arXiv 2311.18231. Code of the
authors: htyao89/Textual-based_Class-aware_prompt_tuning.

    min over v, h:   CE( s z t^T, y ) + a (1 - mean_c t_c . e_c)                                          (1)
    t_c = u( g( [SOS] v <name of c>. [EOS] ) ),  whose block B reads h(e_c) in the place of v             (2)
    h(e) = A_2 q(A_1 e + b_1) + b_2,   q(x) = x sigmoid(1.702 x)                                          (3)

    v      (M, W)  learned context                          s              logit scale
    h(e)   (M, W)  class tokens; D / 4 hidden units         y      (N,)    labels
    z      (N, D)  u(frozen image features)                 a              `weight`
    t      (C, D)  class features                           u(x)           x / |x|, row by row
    e      (C, D)  u(text features)                         g              frozen text tower

Blocks count from 0. A tower of fewer blocks takes the class tokens in its last one; the authors' code would leave them
out. v starts as N(0, 0.02^2), as their configuration says, and h as PyTorch's linear layers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from croftbench.layers import linear_layer, replaced
from croftbench.method import Inside, Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["TCP"]


@dataclass(frozen=True)
class TCP:
    """Hyper-parameters of TCP.

    Attributes:
        n_ctx: M, context vectors and class tokens.
        block: B, where the class tokens come in.
        weight: a, of the distance to the zero-shot features.
        words: what v starts as; random where they are not M tokens.
        recipe: the optimiser; the published code runs it in half precision.
    """

    ranges: ClassVar[Mapping[str, str]] = {"n_ctx": ">= 1", "block": ">= 0", "weight": ">= 0"}
    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # htyao89/Textual-based_Class-aware_prompt_tuning, scripts/base2new_train.sh, configs/trainers/TCP/
    # vit_b16_ep100_ctxv1.yaml and trainers/clip_text/model.py. Weight decay is Dassl's. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    n_ctx: int = 4
    block: int = 8
    weight: float = 8.0
    words: str = ""
    recipe: Recipe = field(
        default_factory=lambda: Recipe(optimiser="adam", lr=0.002, epochs=50, batch=32, weight_decay=5e-4)
    )

    def fit(self, task: Task, /) -> Predictor:
        """Train context and class tokens for `recipe.epochs` and return the classifier with the last ones.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower, rng, s, M = task.towers.text, task.generator(), task.logit_scale, self.n_ctx
        B, D = min(self.block, tower.blocks - 1), task.text.shape[1]
        v = initial_context(tower, (M, tower.width), rng)
        if self.words and len(words := initial_context(tower, (), rng, self.words)) == M:
            v = words
        A1, b1 = linear_layer(max(1, D // 4), D, rng, v)
        A2, b2 = linear_layer(M * tower.width, len(b1), rng, v)
        weights = [x.requires_grad_() for x in (v, A1, b1, A2, b2)]

        def texts(prompts: Prompts, e: Tensor) -> Tensor:
            hidden = linear(e, A1, b1)
            own = linear(hidden * (1.702 * hidden).sigmoid(), A2, b2).view(len(e), M, -1)  # (3)

            def tokens(j: int, rows: slice, x: Tensor) -> Tensor:
                return replaced(x, 1, own[rows]) if j == B else x

            return unit(tower.encode(torch.cat([prompts.start, v]), prompts.rest, prompts.end, Inside(tokens)))  # (2)

        own, e = Prompts(tower, task.classnames), unit(task.text)

        def loss(batch: Batch) -> Tensor:
            t = texts(own, e)
            away = 1 - (t * e).sum(1).mean()
            return cross_entropy(s * unit(batch.features) @ t.T, batch.labels) + self.weight * away  # (1)

        descend(task, self.recipe, weights, rng, loss)
        for x in weights:
            x.requires_grad_(False)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(
            lambda names, text: texts(Prompts(tower, names), unit(text)), predict, task.classnames, task.text
        )
