"""DPLCLIP: the words around the class names are computed from the images of a domain.

Domain Prompt Learning for Efficiently Adapting CLIP to Unseen Domains.
Transactions of the Japanese Society for Artificial Intelligence 38(6), 2023, arXiv 2111.12853.
Code of the authors: shogi880/DPLCLIP; hyper-parameters from CRoFT's (LinLLLL/CRoFT), which compares with it.

A small network turns each image into a context, and a domain's context is the mean over its images in the batch:

    min over h:   CE( s <z_i, t_c(v_d)>, y_i )      d the domain of image i                               (1)
    v_d      = mean over the batch's images i of domain d of h(f_i)                                       (2)
    t_c(v)   = u( g( [SOS] v_1 ... v_M  <name of c>.  [EOS] ) )
    h(f)     = W_3 relu( drop( W_2 relu( drop( W_1 f + b_1 )) + b_2 )) + b_3

    v_d    (M, W)       context of domain d                    y   (N,)    labels
    h      D -> M W     Xavier-uniform weights, biases 0.01    s           logit scale
    f      (N, D)       raw image features                     u(x)        x / |x|, row by row
    z      (N, D)       u(f)                                   g           frozen text tower, read at [EOS]
    t      (G, C, D)    class features of G domains

**Transductive**: a test image's context is the mean over the images that are predicted with it, a whole split here. So
its prediction depends on them, and a detection score sees which images came together: the known ones in one context,
the unknown ones in another.

`variant="official"` is the published training loss, also that of the authors' own code: the classes of all domains
compete, (N, G C) logits, while the labels stay 0 to C - 1 and so mean the first domain's; the place is marked PUBLISHED
CODE. With one domain in the batch the variants are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["DPLCLIP", "Net", "domain_logits", "loss_of"]

BIAS = 0.01


class Net(NamedTuple):
    """h: what is trained, six leaf tensors."""

    W1: Tensor
    b1: Tensor
    W2: Tensor
    b2: Tensor
    W3: Tensor
    b3: Tensor

    @classmethod
    def start(cls, sizes: tuple[int, int, int, int], rng: torch.Generator, like: Tensor) -> Net:
        """Xavier-uniform weights and constant biases, of the dtype and on the device of `like`."""
        layers: list[Tensor] = []
        for inside, outside in pairwise(sizes):
            bound = math.sqrt(6 / (inside + outside))
            W = (2 * torch.rand(outside, inside, generator=rng, dtype=like.dtype) - 1) * bound
            layers += [W.to(like.device), torch.full((outside,), BIAS, dtype=like.dtype, device=like.device)]
        return cls(*(layer.requires_grad_() for layer in layers))

    def __call__(self, f: Tensor, drop: float = 0.0, rng: torch.Generator | None = None) -> Tensor:
        """h(f), (N, M W), with the share `drop` of the hidden units dropped."""
        hidden = _dropped(linear(f, self.W1, self.b1), drop, rng).relu()
        hidden = _dropped(linear(hidden, self.W2, self.b2), drop, rng).relu()
        return linear(hidden, self.W3, self.b3)


def _dropped(x: Tensor, share: float, rng: torch.Generator | None) -> Tensor:
    """Dropout whose draws are those of `rng`, on the CPU."""
    if not share:
        return x
    kept = torch.rand(x.shape, generator=rng) >= share
    return x * kept.to(x.device) / (1 - share)


def class_features(v: Tensor, prompts: Prompts) -> Tensor:
    """t, (G, C, D), of G contexts (G, M W)."""
    return prompts.features(v.reshape(len(v), -1, prompts.tower.width))


def domain_logits(h: Tensor, f: Tensor, domains: Tensor, prompts: Prompts, s: float) -> tuple[Tensor, Tensor]:
    """Each image against the classes of each domain in the batch, (N, G, C); and the position of its own, (N,)."""
    present, own = domains.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    members = (own == torch.arange(len(present), device=own.device)[:, None]).to(h.dtype)  # (G, N)
    v = members @ h / members.sum(1, keepdim=True)  # (2)
    t = class_features(v, prompts)
    return s * torch.einsum("nd,gcd->ngc", unit(f), t), own


def loss_of(logits: Tensor, own: Tensor, y: Tensor, official: bool = False) -> Tensor:
    """Equation (1), of the two outputs of `domain_logits`."""
    if official:
        return cross_entropy(logits.flatten(1), y)  # PUBLISHED CODE: label c is class c of the first domain present
    return cross_entropy(logits[torch.arange(len(y), device=y.device), own], y)


@dataclass(frozen=True)
class DPLCLIP:
    """Hyper-parameters of DPLCLIP.

    Attributes:
        variant: "correct" each image with its own domain's classes; "official" with all domains' at once.
        n_ctx: M, context vectors.
        hidden: width of both hidden layers.
        dropout: share of hidden units that are dropped in training.
        recipe: the optimiser; the published code runs it in half precision, here it is float32.
    """

    needs: ClassVar[Needs] = Needs(text="tower", transductive=True)
    version: ClassVar[int] = 1
    # shogi880/DPLCLIP, domainbed/algorithms.py and hparams_registry.py, the default of each: no warm-up, no schedule.
    # Its batch is 32 images from each domain. Its 5,001 steps over whole domains mean nothing for a few shots: epochs
    # stay those of the comparison.
    recipes: ClassVar[Recipes] = {
        "authors": {"lr": 0.001, "momentum": 0.1, "weight_decay": 0.0, "schedule": "constant", "warmup": 0},
        "croft-comparison": {},
    }

    variant: Literal["correct", "official"] = "correct"
    n_ctx: int = 16
    hidden: int = 512
    dropout: float = 0.1
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if self.n_ctx < 1 or self.hidden < 1 or not 0 <= self.dropout < 1:
            raise ValueError("n_ctx and hidden must be 1 or more, and dropout from 0 to below 1")

    def fit(self, task: Task, /) -> Predictor:
        """Train the network for `recipe.epochs` and return the classifier with the last epoch's weights.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        prompts, s, rng = Prompts(task.towers.text, task.classnames), task.logit_scale, task.generator()
        like = task.train.views
        sizes = (like.shape[-1], self.hidden, self.hidden, self.n_ctx * prompts.tower.width)
        h = Net.start(sizes, rng, like)

        def loss(batch: Batch) -> Tensor:
            context = h(batch.features, self.dropout, rng)
            every, own = domain_logits(context, batch.features, batch.domains, prompts, s)
            return loss_of(every, own, batch.labels, self.variant == "official")

        descend(task, self.recipe, h, rng, loss)

        @torch.no_grad()
        def predict(f: Tensor, prompts: Prompts) -> Outputs:
            z, t = unit(f), class_features(h(f).mean(0, keepdim=True), prompts)[0]
            return Outputs(logits=s * z @ t.T, features=z, classes=t)

        return Renaming(lambda names, text: Prompts(prompts.tower, names), predict, task.classnames, task.text)
