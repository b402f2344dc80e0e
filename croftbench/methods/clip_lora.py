"""CLIP-LoRA: low-rank changes to the attention of both towers.

Low-Rank Few-Shot Adaptation of Vision-Language Models, CVPR Workshops 2024, arXiv 2405.18541. Code of the authors:
MaxZanella/CLIP-LoRA.

    min over A, B:   CE( s z t^T, y )                                                                     (1)
    q, k, v of a block:   W x + b   becomes   W x + b + (alpha / sqrt(r)) B A d(x)                        (2)

    A      (r, W)  uniform on +-1 / sqrt(W)             z      (N, D)  u(image tower's feature)
    B      (W, r)  zero at the start                    t      (C, D)  u(text tower's feature), first template
    x      (W,)    a token, normalised by its block     y      (N,)    labels
    d      dropout while training, its own for each     s              logit scale
           of q, k and v                                u(x)           x / |x|, row by row

Both towers are run in every step, and the rate falls along a cosine from step to step. The authors stop in the midst of
a pass; here the last pass is whole. A commit of theirs takes `steps` passes for each image, not steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.classnames import as_words
from croftbench.method import ImageTower, Inside, Needs, Outputs, Predictor, Recipes, Task, TextTower
from croftbench.training import Batch, Recipe, Renaming, batch_sizes, descend, unit

__all__ = ["CLIPLoRA"]

PARTS = 3
"""Queries, keys and values."""


class LowRank:
    """The changes (2) to one tower, whose width and blocks they have; A starts from `rng`, of the type of `like`."""

    def __init__(self, method: CLIPLoRA, tower: ImageTower | TextTower, rng: torch.Generator, like: Tensor) -> None:
        shape = (tower.blocks, PARTS, method.r, tower.width)
        uniform = (2 * torch.rand(shape, generator=rng, dtype=like.dtype) - 1) / math.sqrt(tower.width)
        self.A = uniform.to(like.device).requires_grad_()  # (blocks, 3, r, W)
        self.B = torch.zeros_like(uniform.mT).to(like.device).requires_grad_()  # (blocks, 3, W, r)
        self.scale, self.keep = method.alpha / math.sqrt(method.r), 1 - method.dropout

    def inside(self, rng: torch.Generator | None = None) -> Inside:
        """What happens in the tower: in a step, with dropout drawn from `rng`; or without."""
        seed = None if rng is None or self.keep == 1 else int(torch.randint(2**40, (), generator=rng))

        def attention(layer: int, rows: slice, x: Tensor) -> Tensor:
            return torch.cat([self.change(layer, part, rows, x, seed) for part in range(PARTS)], -1)

        return Inside(attention=attention)

    def change(self, layer: int, part: int, rows: slice, x: Tensor, seed: int | None) -> Tensor:
        """Of queries, keys or values of one block, (B, n, W); the same mask whenever it is asked for in a step."""
        if seed is not None:
            own = torch.Generator(x.device).manual_seed(seed + PARTS * (layer + 1000 * rows.start) + part)
            x = x * (torch.rand(x.shape, generator=own, device=x.device) < self.keep) / self.keep
        A, B = self.A[layer, part].to(x.dtype), self.B[layer, part].to(x.dtype)
        return self.scale * x @ A.T @ B.T


@dataclass(frozen=True)
class CLIPLoRA:
    """Hyper-parameters of CLIP-LoRA.

    Attributes:
        r: rank of the changes.
        alpha: how much of them counts, before the division by the root of r.
        dropout: share of a token's numbers that the changes do not see in a step.
        steps: for each training image that a class has, in whole passes over the images; 0 for `recipe.epochs` passes.
        recipe: the optimiser; its `epochs` count where `steps` is 0.
    """

    ranges: ClassVar[Mapping[str, str]] = {"r": ">= 1", "dropout": ">= 0, < 1", "steps": ">= 0"}
    needs: ClassVar[Needs] = Needs(image="tower", text="tower")
    version: ClassVar[int] = 1
    # MaxZanella/CLIP-LoRA, run_utils.py and lora.py. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    r: int = 2
    alpha: float = 1.0
    dropout: float = 0.25
    steps: int = 500
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            optimiser="adamw", lr=2e-4, last_lr=1e-6, weight_decay=0.01, schedule="step", warmup=0, keep_last=True
        )
    )

    def passes(self, images: int, classes: int) -> int:
        """Over the training images."""
        each = len(batch_sizes(images, self.recipe.batch, self.recipe.keep_last))
        return math.ceil(self.steps * images / classes / each) if self.steps else self.recipe.epochs

    def fit(self, task: Task, /) -> Predictor:
        """Train the changes and return the classifier with the last ones.

        Raises:
            TrainingError: a pass's mean loss is not finite.
        """
        image, text, rng, s = task.towers.image, task.towers.text, task.generator(), task.logit_scale
        of_image, of_text = (LowRank(self, tower, rng, task.text) for tower in (image, text))
        template, start = task.templates[0], text.start()

        def words(names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
            return text.tokens([template.format(as_words(name)) for name in names])

        def texts(prompts: tuple[Tensor, Tensor], inside: Inside) -> Tensor:
            return unit(text.encode(start, *prompts, inside))

        own = words(task.classnames)

        def loss(batch: Batch) -> Tensor:
            z = unit(image.encode(batch.features, inside=of_image.inside(rng)))
            return cross_entropy(s * z @ texts(own, of_text.inside(rng)).T, batch.labels)  # (1)

        passes = self.passes(len(task.train), len(task.classnames))
        weights = [of_image.A, of_image.B, of_text.A, of_text.B]
        descend(task, replace(self.recipe, epochs=passes), weights, rng, loss)
        for weight in weights:
            weight.requires_grad_(False)

        def predict(pixels: Tensor, t: Tensor) -> Outputs:
            z = unit(image.encode(pixels, inside=of_image.inside()))
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(lambda names, _: texts(words(names), of_text.inside()), predict, task.classnames, task.text)
