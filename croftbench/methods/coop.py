"""CoOp: the words around the class names are learned.

Learning to Prompt for Vision-Language Models, IJCV 2022, arXiv 2109.01134. Code of the authors: KaiyangZhou/CoOp.

M vectors, the context, take the place of "a photo of a". Both towers stay frozen:

    min over v:   CE( s z t(v)^T, y )                                                                     (1)
    t_c(v) = u( g( [SOS] v_1 ... v_h  <name of c>  v_h+1 ... v_M  . [EOS] ) )                              (2)

    v      (M, W)  learned context, the same for all classes; `class_specific`: (C, M, W), one for each
    h              vectors before the name: M for `position` "end", M // 2 for "middle", 0 for "front"
    g              frozen text tower, read at [EOS]                 s           logit scale
    f      (B, D)  raw image features                               u(x)        x / |x|, row by row
    z      (B, D)  u(f)                                             t   (C, D)  class features
    y      (B,)    labels

v starts as N(0, 0.02^2), or as the embeddings of given words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.classnames import as_words
from croftbench.method import Needs, Outputs, Predictor, Recipes, Task, TextTower
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["CoOp", "PlacedPrompts"]


def insert(x: Tensor, text: Tensor, at: Tensor) -> Tensor:
    """(C, n, W) put into (C, L, W), before token at[c] of row c: (C, L + n, W)."""
    n, length = x.shape[1], text.shape[1]
    position = torch.arange(length + n, device=text.device).expand(len(text), -1)
    after = position - at[:, None]
    source = torch.where(after < 0, position, torch.where(after < n, length + after, position - n))
    return torch.cat([text, x], 1)[torch.arange(len(text), device=text.device)[:, None], source]


class PlacedPrompts(Prompts):
    """Prompts whose context stands anywhere around the class names.

    Attributes:
        stop: (C,) where "." stands in `rest`: the number of the name's tokens.
    """

    def __init__(self, tower: TextTower, classnames: Sequence[str]) -> None:
        _, self.stop = tower.tokens([as_words(name) for name in classnames])
        super().__init__(tower, classnames)

    def placed(self, v: Tensor, h: int) -> Tensor:
        """Equation (2), (C, D)."""
        before, behind = v[..., :h, :], v[..., h:, :]
        text, end = self.rest, self.end
        if behind.shape[-2]:
            text, end = insert(behind.expand(len(text), -1, -1), text, self.stop), end + behind.shape[-2]
        if v.ndim == 2:  # the context is computed once for all classes
            return unit(self.tower.encode(torch.cat([self.start, before]), text, end))
        return unit(self.tower.encode(self.start, torch.cat([before, text], 1), end + h))


@dataclass(frozen=True)
class CoOp:
    """Hyper-parameters of CoOp.

    Attributes:
        n_ctx: M, context vectors; with `words`, M is the number of their tokens instead.
        class_specific: each class learns a context of its own.
        position: where the class name stands among the context.
        words: what the context starts as, such as "a photo of a"; random if empty. The published code then keeps one
            context even if asked for class-specific ones, and cuts words of several tokens; neither is done here.
        recipe: the optimiser; the published code runs it in half precision, here it is float32.
    """

    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # KaiyangZhou/CoOp, COOP.md and configs/trainers/CoOp: vit_b16_ep50 for 1 shot, _ep100 for 2 or 4, vit_b16 beyond;
    # on ImageNet _ep50, and from base to new classes words="a photo of a" (scripts/cocoop/base2new_train.sh): suites
    # say so. Weight decay is Dassl's default.
    recipes: ClassVar[Recipes] = {
        "authors": {"epochs": {1: 50, 2: 100, 8: 200}, "weight_decay": 5e-4},
        "croft-comparison": {},
    }

    n_ctx: int = 16
    class_specific: bool = False
    position: Literal["end", "middle", "front"] = "end"
    words: str = ""
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if self.n_ctx < 1:
            raise ValueError("n_ctx must be 1 or more")

    def initial(self, tower: TextTower, classes: int, rng: torch.Generator) -> Tensor:
        """The context v before training."""
        shape = (classes, self.n_ctx, tower.width) if self.class_specific else (self.n_ctx, tower.width)
        v = initial_context(tower, shape, rng, self.words)
        return v.repeat(classes, 1, 1) if self.class_specific and v.ndim == 2 else v

    def fit(self, task: Task, /) -> Predictor:
        """Train the context for `recipe.epochs` and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower = task.towers.text
        prompts = PlacedPrompts(tower, task.classnames)
        s, rng = task.logit_scale, task.generator()
        v = self.initial(tower, len(task.classnames), rng).requires_grad_()
        h = {"end": v.shape[-2], "middle": v.shape[-2] // 2, "front": 0}[self.position]

        def loss(batch: Batch) -> Tensor:
            return cross_entropy(s * unit(batch.features) @ prompts.placed(v, h).T, batch.labels)  # (1)

        descend(task, self.recipe, [v], rng, loss)

        def texts(names: tuple[str, ...], text: Tensor) -> Tensor:
            return PlacedPrompts(tower, names).placed(v, h)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = unit(f)
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        fitted = Renaming(texts, predict, task.classnames, task.text)
        return fitted.__call__ if self.class_specific else fitted  # a class of its own context has no other name
