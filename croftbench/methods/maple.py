"""MaPLe: prompts in both towers, block by block, those of images made from those of texts.

MaPLe: Multi-modal Prompt Learning, CVPR 2023, arXiv 2210.03117. Code of the authors:
muzairkhattak/multimodal-prompt-learning.

    min over v, F:   CE( s z t^T, y )                                                                     (1)
    t_c = u( g( [SOS] v_0 r <name of c>. [EOS] ) ),  whose block j = 1 .. J-1 reads v_j in the place of v_0  (2)
    z   = u( f( image, F_0(v_0) ) ),                 whose block j = 1 .. J-1 reads F_j(v_j) in its place    (3)

    v_j    (M, W)  context of block j of the text tower     s              logit scale
    F_j    linear, from the text tower's width to the       z      (N, D)  image features
           image tower's, with a bias                       t      (C, D)  class features
    f, g   frozen towers; behind its patches an image has   y      (N,)    labels
           F_0(v_0), from before the first norm on          u(x)           x / |x|, row by row

v_0 starts as the embeddings of given words, the first M tokens of them; the rest r, "of a", stays as it is. The other
v_j start as N(0, 0.02^2), F_j as PyTorch's linear layers do: F_0 by itself, and all others alike, as in the authors'
code. A tower of fewer than J blocks has prompts in all of them.
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

__all__ = ["MaPLe"]


@dataclass(frozen=True)
class MaPLe:
    """Hyper-parameters of MaPLe.

    Attributes:
        n_ctx: M, context vectors of a block.
        depth: J, blocks that have a context of their own.
        words: what v_0 and r start as; v_0 is random, and r is not there, for fewer than M tokens.
        recipe: the optimiser; the published code runs it in half precision.
    """

    ranges: ClassVar[Mapping[str, str]] = {"n_ctx": ">= 1", "depth": ">= 1"}
    needs: ClassVar[Needs] = Needs(image="tower", text="tower")
    version: ClassVar[int] = 1
    # muzairkhattak/multimodal-prompt-learning, configs/trainers/MaPLe/vit_b16_c2_ep5_batch4_2ctx.yaml, from base to
    # new classes; across data sets _cross_datasets.yaml. Weight decay is Dassl's. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    n_ctx: int = 2
    depth: int = 9
    words: str = "a photo of a"
    recipe: Recipe = field(default_factory=lambda: Recipe(lr=0.0035, epochs=5, batch=4, weight_decay=5e-4))

    def fit(self, task: Task, /) -> Predictor:
        """Train contexts and maps for `recipe.epochs` and return the classifier with the last ones.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        image, text, rng, s = task.towers.image, task.towers.text, task.generator(), task.logit_scale
        M, J = self.n_ctx, min(self.depth, image.blocks, text.blocks)
        v, tail = [initial_context(text, (M, text.width), rng) for _ in range(J)], text.start()[:0]
        if self.words and len(words := initial_context(text, (), rng, self.words)) >= M:
            v[0], tail = words[:M].clone(), words[M:]
        F = [linear_layer(image.width, text.width, rng, v[0]) for _ in range(min(J, 2))]
        F += [(A.clone(), b.clone()) for A, b in F[1:] * (J - 2)]  # the deep ones start alike
        weights = [*v, *(weight for pair in F for weight in pair)]
        for weight in weights:
            weight.requires_grad_()

        def deep_text(j: int, rows: slice, x: Tensor) -> Tensor:
            return replaced(x, 1, v[j]) if 0 < j < J else x

        def deep_image(j: int, rows: slice, x: Tensor) -> Tensor:
            return replaced(x, -M, linear(v[j], *F[j])) if 0 < j < J else x

        def texts(prompts: Prompts) -> Tensor:
            shared = torch.cat([prompts.start, v[0], tail])
            return unit(text.encode(shared, prompts.rest, prompts.end, Inside(deep_text)))  # (2)

        def images(pixels: Tensor) -> Tensor:
            return unit(image.encode(pixels, linear(v[0], *F[0]), Inside(deep_image)))  # (3)

        own = Prompts(text, task.classnames)

        def loss(batch: Batch) -> Tensor:
            return cross_entropy(s * images(batch.features) @ texts(own).T, batch.labels)  # (1)

        descend(task, self.recipe, weights, rng, loss)
        for weight in weights:
            weight.requires_grad_(False)

        def predict(pixels: Tensor, t: Tensor) -> Outputs:
            z = images(pixels)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(lambda names, _: texts(Prompts(text, names)), predict, task.classnames, task.text)
