"""PromptSRC: prompts in both towers that are held near the frozen model, and averaged over the epochs.

Self-regulating Prompts: Foundational Model Adaptation without Forgetting, ICCV 2023, arXiv 2307.06948. Code of the
authors: muzairkhattak/PromptSRC.

    min over v, w:   CE( s z t^T, y ) + a |t - t0|_1 / (C D) + b |z - z0|_1 / (N D)
                     + KL( softmax(s z0 t0^T) | softmax(s z t^T) ) / (N C)                                (1)
    t_c = u( g( [SOS] v_0 <name of c>. [EOS] ) ),  whose block j = 1 .. J-1 reads v_j in the place of v_0  (2)
    z   = u( f( image, w_0 ) ),                    whose block j = 1 .. J-1 reads w_j in its place         (3)
    v = sum_e G_e v^(e),  w likewise,  G_e ~ exp( -((e - mean) / std)^2 / 2 ),  e = 1, 2, ... the epochs   (4)

    v_j    (M, W)  context of the text tower's block j      s              logit scale
    w_j    (M, W') context of the image tower's block j     f, g           frozen towers
    z0     (N, D)  u(frozen features) of the same views     y      (N,)    labels
    t0     (C, D)  u(mean raw text features)                u(x)           x / |x|, row by row

v_0 starts as the embeddings of given words, all others as N(0, 0.02^2). t0 is of the suite's templates; the authors
take 60 of ImageNet's for every data set. A tower of fewer than J blocks has prompts in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, l1_loss

from croftbench.layers import replaced
from croftbench.method import Inside, Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["PromptSRC"]


def objective(logits: Tensor, z: Tensor, t: Tensor, z0: Tensor, t0: Tensor, s: float, weights: tuple[float, float],
              y: Tensor) -> Tensor:  # fmt: skip
    """Equation (1)."""
    a, b = weights
    teacher = (s * z0 @ t0.T).log_softmax(1)
    near = kl_div(logits.log_softmax(1), teacher, reduction="sum", log_target=True) / logits.numel()
    return cross_entropy(logits, y) + a * l1_loss(t, t0) + b * l1_loss(z, z0) + near


class Average:
    """Equation (4), of tensors as they are at the end of each epoch."""

    def __init__(self, tensors: list[Tensor], mean: float, std: float, epochs: int) -> None:
        self._tensors, self._sums = tensors, [torch.zeros_like(x) for x in tensors]
        logs = [-(((e - mean) / std) ** 2) / 2 for e in range(1, epochs + 1)]
        exact = [math.exp(one - max(logs)) for one in logs]
        self._share = [one / sum(exact) for one in exact]

    @torch.no_grad()
    def add(self, epoch: int) -> None:
        """The tensors, after that epoch from 0 on."""
        for total, x in zip(self._sums, self._tensors, strict=True):
            total.add_(x, alpha=self._share[epoch])

    @torch.no_grad()
    def put(self) -> None:
        """Write the averages into the tensors."""
        for total, x in zip(self._sums, self._tensors, strict=True):
            x.copy_(total)


@dataclass(frozen=True)
class PromptSRC:
    """Hyper-parameters of PromptSRC.

    Attributes:
        n_ctx: M, context vectors of a block, in either tower.
        depth: J, blocks that have a context of their own.
        words: what v_0 starts as; it is random where they are not M tokens.
        text_weight, image_weight: a and b.
        mean, std: of the average over epochs, in epochs; the authors' 45 and 5 for Cars, Flowers, Aircraft, DTD and
            EuroSAT, and 15 and 1 of 20 epochs from base to new classes.
        recipe: the optimiser; the published code runs it in half precision.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "n_ctx": ">= 1", "depth": ">= 1", "text_weight": ">= 0", "image_weight": ">= 0", "std": "> 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs(image="tower", text="tower")
    version: ClassVar[int] = 1
    # muzairkhattak/PromptSRC, configs/trainers/PromptSRC/vit_b16_c2_ep50_batch4_4+4ctx_few_shot.yaml. Weight decay is
    # Dassl's. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    n_ctx: int = 4
    depth: int = 9
    words: str = "a photo of a"
    text_weight: float = 25.0
    image_weight: float = 10.0
    mean: float = 30.0
    std: float = 30.0
    recipe: Recipe = field(default_factory=lambda: Recipe(lr=0.0025, epochs=50, batch=4, weight_decay=5e-4))

    def fit(self, task: Task, /) -> Predictor:
        """Train contexts for `recipe.epochs` and return the classifier with their average.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        image, text, rng, s = task.towers.image, task.towers.text, task.generator(), task.logit_scale
        M = self.n_ctx
        v = [initial_context(text, (M, text.width), rng) for _ in range(min(self.depth, text.blocks))]
        w = [initial_context(text, (M, image.width), rng) for _ in range(min(self.depth, image.blocks))]
        if self.words and len(words := initial_context(text, (), rng, self.words)) == M:
            v[0] = words
        contexts = [x.requires_grad_() for x in (*v, *w)]

        def deep_text(j: int, rows: slice, x: Tensor) -> Tensor:
            return replaced(x, 1, v[j]) if 0 < j < len(v) else x

        def deep_image(j: int, rows: slice, x: Tensor) -> Tensor:
            return replaced(x, -M, w[j]) if 0 < j < len(w) else x

        def texts(prompts: Prompts) -> Tensor:
            shared = torch.cat([prompts.start, v[0]])
            return unit(text.encode(shared, prompts.rest, prompts.end, Inside(deep_text)))  # (2)

        def images(pixels: Tensor) -> Tensor:
            return unit(image.encode(pixels, w[0], Inside(deep_image)))  # (3)

        own, t0 = Prompts(text, task.classnames), unit(task.text if task.raw_text is None else task.raw_text)
        average = Average(contexts, self.mean, self.std, self.recipe.epochs)

        def loss(batch: Batch) -> Tensor:
            assert batch.frozen is not None  # what `training.batches` yields
            z, t, z0 = images(batch.features), texts(own), unit(batch.frozen)
            return objective(s * z @ t.T, z, t, z0, t0, s, (self.text_weight, self.image_weight), batch.labels)

        def on_epoch(epoch: int, epochs: int, value: float) -> None:
            average.add(epoch)
            task.on_epoch(epoch, epochs, value)

        descend(replace(task, on_epoch=on_epoch), self.recipe, contexts, rng, loss)
        for x in contexts:
            x.requires_grad_(False)
        average.put()

        def predict(pixels: Tensor, t: Tensor) -> Outputs:
            z = images(pixels)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(lambda names, _: texts(Prompts(text, names)), predict, task.classnames, task.text)
