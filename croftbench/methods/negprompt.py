"""NegPrompt: each class also learns what it is not.

Learning Transferable Negative Prompts for Out-of-Distribution Detection, CVPR 2024, arXiv 2404.03248.
Code of the authors: mala-lab/NegPrompt.

First CoOp's context is learned (1). Then it stays, and J negative ones start as copies of it. They share a softmax with
the classes in which no training image may prefer anything (2), near the class that they deny (3), away from each other
(4):

    min over v:     CE( s z t^T, y )                                                                      (1)
    min over w:     mean_i ( log sum_k exp l_ik  -  mean_k l_ik )  +  a D  +  b G,     l = s z [t; n]^T   (2)
    D = mean_cj ( 1 - <t_c, n_cj> )                                                                       (3)
    G = mean_c ( | mean_j n_cj | - 1 ),  the mean cosine of a class's negatives with their centre, less 1 (4)
    t_c = u( g( [SOS] v_1 ... v_M <name of c> [EOS] ) ),    n_cj likewise, of w_j

    v      (M, W)     learned context, starts as given words        y   (B,)       labels
    w      (J, M, W)  negative contexts, start as v + U(-1e-5, 1e-5)  s            logit scale
    g                 frozen text tower, read at [EOS]              u(x)           x / |x|, row by row
    z      (B, D)     unit-norm features of the images              a, b           `distance`, `spread`
    t      (C, D)     class features                                n   (C, J, D)  negative class features

An image's class is that of t alone. The score `negprompt` is the largest probability of a class among classes and
negatives, of cosines: log-odds of p = max_c exp<z, t_c> / ( sum_c exp<z, t_c> + sum_cj exp<z, n_cj> ).

`variant="official"` is what the authors' scripts ask for, where the names of loss and score have changed places: they
set the loss "MSP" and the score "OE", and no such score is there. With the loss "OE", (2), and the score "msp" both
are. The loss "MSP" is a sigmoid cross entropy whose targets are the image's class with its negatives, and a D is
subtracted; the place is marked PUBLISHED CODE. So is their rate: a cosine over 50 steps is stepped at every batch and
once more after an epoch, and thus swings between `lr` and 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from croftbench.classnames import as_words
from croftbench.method import Needs, Outputs, Predictor, Recipes, Task, TextTower
from croftbench.prompting import Prompts, initial_context
from croftbench.scorers.odds import chance, wide
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["NegPrompt", "negprompt"]

NOISE = 1e-5


class BarePrompts(Prompts):
    """Prompts that end with the class name, without a full stop."""

    def __init__(self, tower: TextTower, classnames: Sequence[str]) -> None:
        self.tower, self.start = tower, tower.start()
        self.rest, self.end = tower.tokens([as_words(name) for name in classnames])

    def negatives(self, w: Tensor) -> Tensor:
        """n, (C, J, D)."""
        return self.features(w).transpose(0, 1)


@dataclass(frozen=True)
class Swinging(Recipe):
    """The published schedule."""

    def lr_at(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """PUBLISHED CODE: a cosine over 50 steps that goes on after its end."""
        return self.lr * (1 + math.cos(math.pi * (epoch * (steps + 1) + step) / 50)) / 2


def evenness(logits: Tensor) -> Tensor:
    """First terms of (2), of l (B, K): the cross entropy with even targets, least (log K) where all are equal."""
    return (logits.logsumexp(1) - logits.mean(1)).mean()


def mean_distance(t: Tensor, n: Tensor) -> Tensor:
    """Equation (3)."""
    return 1 - (t[:, None] * n).sum(-1).mean()


def gathering(n: Tensor) -> Tensor:
    """Equation (4)."""
    lengths: Tensor = torch.linalg.vector_norm(n.mean(1), dim=-1)
    return lengths.mean() - 1


def joined(t: Tensor, n: Tensor) -> Tensor:
    """[t; n], (C + C J, D): the classes, then the negatives of each."""
    return torch.cat([t, n.flatten(0, 1)])


def negprompt(z: Tensor, t: Tensor, n: Tensor) -> Tensor:
    """The score, (B,): log p - log(1 - p) + log(C + C J - 1), 0 where all cosines are equal. Unit-norm rows."""
    cosines = wide(z @ joined(t, n).T)
    best = cosines[:, : len(t)].argmax(1, keepdim=True)
    others = cosines.scatter(1, best, -math.inf).logsumexp(1)
    return (cosines.gather(1, best)[:, 0] - others + chance(cosines.shape[1])).to(z)


@dataclass(frozen=True)
class NegPrompt:
    """Hyper-parameters of NegPrompt; the defaults are those of the authors' scripts.

    Attributes:
        variant: "correct" the losses (2) to (4); "official" the loss and the schedule that the scripts run.
        negatives: J, negative prompts of a class.
        distance: a, of the negatives' distance from their class.
        spread: b, of their distance from each other.
        words: what the context starts as; N(0, 0.02^2) if empty.
        n_ctx: M, context vectors, where `words` is empty; otherwise M is the number of their tokens.
        negative_epochs: of the second stage. The authors' 15 stand under a name that their code never reads, so that
            it runs 100.
        recipe: the optimiser of both stages, plain gradient descent; `epochs` are those of the first.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "negatives": ">= 1", "distance": ">= 0", "spread": ">= 0", "n_ctx": ">= 1", "negative_epochs": ">= 1",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # mala-lab/NegPrompt, scripts/train_test_ood.py, osr_nega_prompt.py and core/train_clip.py, for 16 shots of
    # ImageNet: the defaults. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    variant: Literal["correct", "official"] = "correct"
    negatives: int = 2
    distance: float = 0.1
    spread: float = 0.05
    words: str = "a photo of a"
    n_ctx: int = 16
    negative_epochs: int = 15
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            lr=0.1, epochs=100, batch=64, momentum=0.0, weight_decay=0.0, warmup=0, keep_last=True
        )
    )

    def __post_init__(self) -> None:
        if self.n_ctx < 1 or self.negatives < 1:
            raise ValueError("n_ctx and negatives must be 1 or more")

    def of_negatives(self, z: Tensor, t: Tensor, n: Tensor, y: Tensor, s: float) -> Tensor:
        """What the second stage minimises, a scalar."""
        logits = s * z @ joined(t, n).T
        if self.variant == "correct":
            return evenness(logits) + self.distance * mean_distance(t, n) + self.spread * gathering(n)  # (2)
        own = torch.arange(len(t), device=y.device) == y[:, None]  # (B, C)
        targets = torch.cat([own, own.repeat_interleave(n.shape[1], 1)], 1).to(logits)
        sigmoid = binary_cross_entropy_with_logits(logits, targets)  # PUBLISHED CODE: images are drawn to negatives
        return sigmoid - self.distance * mean_distance(t, n) + self.spread * gathering(n)

    def fit(self, task: Task, /) -> Predictor:
        """Train the context, then the negative ones, and return the classifier of the last epoch's prompts.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower, s, rng = task.towers.text, task.logit_scale, task.generator()
        prompts = BarePrompts(tower, task.classnames)
        first = self.recipe if self.variant == "correct" else Swinging(**asdict(self.recipe))
        second = replace(first, epochs=self.negative_epochs)
        v = initial_context(tower, (self.n_ctx, tower.width), rng, self.words).requires_grad_()

        def of_classes(batch: Batch) -> Tensor:
            return cross_entropy(s * unit(batch.features) @ prompts.features(v).T, batch.labels)  # (1)

        def on_epoch(done: int) -> Task:
            both = first.epochs + second.epochs
            return replace(task, on_epoch=lambda epoch, _, loss: task.on_epoch(done + epoch, both, loss))

        descend(on_epoch(0), first, [v], rng, of_classes)
        v.requires_grad_(False)
        t = prompts.features(v)
        noise = 2 * torch.rand(self.negatives, *v.shape, generator=rng, dtype=v.dtype) - 1
        w = (v + NOISE * noise.to(v.device)).requires_grad_()

        def of_negatives(batch: Batch) -> Tensor:
            return self.of_negatives(unit(batch.features), t, prompts.negatives(w), batch.labels, s)

        descend(on_epoch(first.epochs), second, [w], rng, of_negatives)

        def texts(names: tuple[str, ...], text: Tensor) -> tuple[Tensor, Tensor]:
            named = BarePrompts(tower, names)
            return named.features(v), named.negatives(w)

        def predict(f: Tensor, texts: tuple[Tensor, Tensor]) -> Outputs:
            z, t = unit(f), texts[0]
            return Outputs(s * z @ t.T, z, classes=t, scores={"negprompt": negprompt(z, *texts)})

        return Renaming(texts, predict, task.classnames, task.text)
