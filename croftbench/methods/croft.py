"""CRoFT: robust fine-tuning for covariate shift and open-set detection at once.

CRoFT: Robust Fine-Tuning with Concurrent Optimization for OOD Generalization and Open-Set OOD Detection.
ICML 2024, arXiv 2405.16417. Code of the authors: LinLLLL/CRoFT.

Two linear adapters are trained on frozen CLIP features, with a penalty on how fast the energy distribution changes
with the adapters' weights (EDR). A generator makes class-preserving features that are far from the training images,
on which both the error and the penalty are counted too:

    min over W_I, W_T:   CE(z) + lambda1 CE(a(zc)) + lambda2 ( EDR(f) + EDR(zc) )                         (1)
    min over G:          CE(zc) + lambda1 mean_ij M_ij <zc_i, z_j>                                        (2)

    f, e          (N, D), (C, D)  frozen image and text features           y    (N,)   labels
    W_I, W_T, G   (D, D)          image adapter, text adapter, generator; all start as the identity
    r, r_t                        shares of the adapted in the mixed features: `ratio`, `ratio_text`
    s                             logit scale                              M    (N, N) M_ij = [y_i = y_j]
    u(x)                          x / (|x| + 1e-6), row by row
    zs, ts        u(f), u(e)                                               zero-shot features
    z, t          u(r f W_I^T + (1-r) f), u(r_t e W_T^T + (1-r_t) e)       adapted features; z = a(f)
    zc            u(z G + z)                                               worst-case features
    CE(x)         mean cross entropy of the logits s x t^T with y
    i, j          what EDR compares: N' images (f or zc) and the C texts, adapted
    P             exp(i j^T), (N', C)                                      energies: no scale, no log
    delta         (D, D), one matrix added to both adapters
    g             d (sum P) / d delta, (D, D)
    EDR           mean of g^2; or, `edr_reduction="mean"`, sum of g^2 with the mean of P for its sum

`variant="official"` is the published training code to the last digit, with what it does beyond (1) and (2); each such
place is marked PUBLISHED CODE. `variant="stated"` is (1) and (2) and nothing else: delta = 0, x W^T everywhere, an
optimiser steps what its loss is minimised over. It follows a public summary of the paper's objective, and suits a
weight decay of 5e-4, `Recipe(weight_decay=5e-4)`, rather than the published 0.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.training import Batch, Optimiser, Recipe, Renaming, optimiser, train, unit

__all__ = ["CRoFT", "Fit", "Update", "Weights"]

EPS = 1e-6
DELTA = 1e-4

Reduction = Literal["sum", "mean"]


class Weights(NamedTuple):
    """What is trained: three (D, D) leaf tensors that require gradients."""

    W_I: Tensor
    W_T: Tensor
    G: Tensor

    @classmethod
    def identity(cls, like: Tensor) -> Weights:
        """The start of training, for features such as `like` (..., D): CRoFT is zero-shot CLIP there."""
        eye = torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)
        return cls(*(eye.clone().requires_grad_() for _ in cls._fields))


class Adapted(NamedTuple):
    """Features after an adapter: `x` (B, D) went in, `unit` (B, D) came out, `norm` (B, 1) it had in between."""

    x: Tensor
    unit: Tensor
    norm: Tensor


def adapt(x: Tensor, W: Tensor, ratio: float, delta: float = 0.0) -> Adapted:
    """u(ratio x (W + delta 1) + (1 - ratio) x), 1 the all-ones matrix; z and t pass their adapter transposed."""
    moved = x @ W
    if delta:
        moved = moved + delta * x.sum(-1, keepdim=True)  # x 1 repeats the sum of each row: no second product
    raw = ratio * moved + (1 - ratio) * x
    norm = torch.linalg.vector_norm(raw, dim=-1, keepdim=True)
    return Adapted(x, raw / (norm + EPS), norm)


def worst_case(z: Tensor, G: Tensor) -> Tensor:
    """The features zc, (N, D)."""
    return unit(z @ G + z, EPS)


def similarity(zc: Tensor, anchor: Tensor, M: Tensor) -> Tensor:
    """mean_ij M_ij <zc_i, anchor_j>: over all N x N pairs, the diagonal and the zeros too."""
    return (M * (zc @ anchor.T)).mean()


def generator_loss(zc: Tensor, z: Tensor, t: Tensor, y: Tensor, M: Tensor, s: float, lambda1: float) -> Tensor:
    """Equation (2): classified as before, unlike the images of its class."""
    return cross_entropy(s * zc @ t.T, y) + lambda1 * similarity(zc, z, M)


def energy_gradient(i: Adapted, j: Adapted, r: float, r_t: float) -> Tensor:
    """The gradient g = d (sum P) / d delta, (D, D), in closed form and differentiable.

    With J the Jacobian of u, applied to v row by row, J(v) = v / (|x| + eps) - u <u, v> / |x|:

        g = r i.x^T J_i(P j) + r_t j.x^T J_j(P^T i)

    where <u, v> is the sum of a row (column) of P * (i j^T). For x W^T in place of x W it is g^T.
    """
    cosine = i.unit @ j.unit.T  # (N', C)
    P = cosine.exp()
    Pc = P * cosine
    to_i = (P / (i.norm + EPS)) @ j.unit - i.unit * (Pc.sum(1, keepdim=True) / i.norm)  # (N', D)
    to_j = (P / (j.norm.T + EPS)).T @ i.unit - j.unit * (Pc.sum(0).unsqueeze(1) / j.norm)  # (C, D)
    return torch.addmm(j.x.T @ to_j, i.x.T, to_i, beta=r_t, alpha=r)


def edr(i: Adapted, j: Adapted, r: float, r_t: float, reduction: Reduction) -> Tensor:
    """EDR of N' images against C texts, a scalar.

    "sum" grows with (N' C / D)^2, "mean" is independent of batch and class count; lambda2 is not comparable.
    """
    g = energy_gradient(i, j, r, r_t)
    return g.square().sum() / (g.numel() if reduction == "sum" else (len(i.x) * len(j.x)) ** 2)


@dataclass(frozen=True)
class CRoFT:
    """Hyper-parameters of CRoFT; the defaults are those of the authors' train.py, on ImageNet.

    Attributes:
        variant: "official" as published, "stated" equations (1) and (2); see the top of this file.
        ratio: r, how much of an image feature is adapted.
        ratio_text: r_t, the same for text.
        lambda1: weight of the similarity in (2); "stated": also of CE(zc) in (1), "official": of its A term.
        lambda2: weight of EDR.
        gen_steps: generator updates before each main update.
        worst_case: train the generator and count its features; False leaves CE(z) + lambda2 EDR(z).
        edr_reduction: see `edr`; "sum" was published for ImageNet, "mean" for PACS and VLCS.
        edr_worst_case: whether EDR counts zc too; False was published for VLCS.
        recipe: the optimiser, the same for adapters and generator.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "ratio": ">= 0, <= 1", "ratio_text": ">= 0, <= 1", "lambda1": ">= 0", "lambda2": ">= 0", "gen_steps": ">= 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    # LinLLLL/CRoFT, CoOp/train.py and configs/trainers/CRoFT. What its scripts set for PACS, VLCS and one shot, the
    # suites say.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    variant: Literal["official", "stated"] = "official"
    ratio: float = 0.2
    ratio_text: float = 0.5
    lambda1: float = 1.0
    lambda2: float = 5.0
    gen_steps: int = 1
    worst_case: bool = True
    edr_reduction: Reduction = "sum"
    edr_worst_case: bool = True
    recipe: Recipe = field(default_factory=Recipe)

    def fit(self, task: Task, /) -> Predictor:
        """Train for `recipe.epochs` and return the classifier with the last epoch's weights.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
        """
        fit = Fit(self, task.text.to(task.train.views.dtype), task.logit_scale)
        both = fit.adapters, fit.generator
        train(task, self.recipe, both, task.generator(), lambda batch: list(fit.step(batch))[-1].loss)
        return fit.predictor()


class Update(NamedTuple):
    """One optimiser update: the loss that it descended, and the batch's logits (N, C) at the start of the step."""

    loss: Tensor
    logits: Tensor


class Fit:
    """Weights, optimisers and what they share between steps.

    Args:
        hp: the hyper-parameters.
        text: e, (C, D), of the dtype and on the device that the features will have.
        s: logit scale.
        weights: where to start; the identity if None.
    """

    def __init__(self, hp: CRoFT, text: Tensor, s: float, weights: Weights | None = None) -> None:
        self.hp = hp
        self.e = text
        self.ts = unit(text, EPS)
        self.s = s
        self.weights = weights or Weights.identity(text)
        self.adapters = optimiser(self.weights[:2], hp.recipe)
        self.generator = optimiser(self.weights[2:], hp.recipe)

    def forward(self, f: Tensor) -> tuple[Adapted, Adapted]:
        """Images and texts through their adapters; their `.unit` are z (N, D) and t (C, D)."""
        W_I, W_T, _ = self.weights
        return adapt(f, W_I.T, self.hp.ratio), adapt(self.e, W_T.T, self.hp.ratio_text)

    def predictor(self) -> Predictor:
        """The classifier at the present weights; later steps do not change it."""
        W_I, W_T = (weight.detach().clone() for weight in self.weights[:2])

        def texts(names: tuple[str, ...], e: Tensor) -> Tensor:
            return adapt(e.to(W_T.dtype), W_T.T, self.hp.ratio_text).unit  # (C, D)

        def predict(f: Tensor, t: Tensor) -> Outputs:
            z = adapt(f, W_I.T, self.hp.ratio).unit  # (B, D)
            return Outputs(logits=self.s * z @ t.T, features=z, classes=t)

        return Renaming(texts, predict, (), self.e)

    def step(self, batch: Batch) -> Iterator[Update]:
        """Train on one batch; yields after each update, the generator's first and the main one last."""
        return self._official(batch) if self.hp.variant == "official" else self._stated(batch)

    def _update(self, loss: Tensor, *optimisers: Optimiser, keep_graph: bool = False) -> None:
        for weight in self.weights:
            weight.grad = None  # an optimiser passes over a weight that then gets no gradient: no decay either
        loss.backward(retain_graph=keep_graph)  # type: ignore[no-untyped-call]
        for one in optimisers:
            one.step()

    def _stated(self, batch: Batch) -> Iterator[Update]:
        hp, (W_I, _, G) = self.hp, self.weights
        y = batch.labels
        i, j = self.forward(batch.features)  # stays true through the generator's updates, which leave W_I, W_T alone
        z, t = i.unit, j.unit
        logits = self.s * z @ t.T

        if hp.worst_case:
            M = (y[:, None] == y).to(z.dtype)
            for _ in range(hp.gen_steps):
                zc = worst_case(z.detach(), G)
                loss = generator_loss(zc, z.detach(), t.detach(), y, M, self.s, hp.lambda1)
                self._update(loss, self.generator)
                yield Update(loss.detach(), logits.detach())

        loss = cross_entropy(logits, y) + hp.lambda2 * edr(i, j, hp.ratio, hp.ratio_text, hp.edr_reduction)
        if hp.worst_case:
            ic = adapt(worst_case(z, G.detach()), W_I.T, hp.ratio)
            loss = loss + hp.lambda1 * cross_entropy(self.s * ic.unit @ t.T, y)
            if hp.edr_worst_case:
                loss = loss + hp.lambda2 * edr(ic, j, hp.ratio, hp.ratio_text, hp.edr_reduction)
        self._update(loss, self.adapters)
        yield Update(loss.detach(), logits.detach())

    def _official(self, batch: Batch) -> Iterator[Update]:
        hp, G = self.hp, self.weights.G
        y = batch.labels
        M = (y[:, None] == y).to(batch.features.dtype)
        # PUBLISHED CODE: logits, z and t are those before the generator's updates all through the step, though these
        # updates move the adapters too. Autograd allows it: the backward pass of x W^T reads x only.
        z, t = (adapted.unit for adapted in self.forward(batch.features))
        logits = self.s * z @ t.T
        both = self.adapters, self.generator  # PUBLISHED CODE: both optimisers step on every loss.

        if hp.worst_case:
            for _ in range(hp.gen_steps):
                loss = generator_loss(worst_case(z, G), z, t, y, M, self.s, hp.lambda1)
                self._update(loss, *both, keep_graph=True)
                yield Update(loss.detach(), logits.detach())

        loss = cross_entropy(logits, y) + self.official_edr(unit(batch.features, EPS), z, t, y, M)
        self._update(loss, *both)
        yield Update(loss.detach(), logits.detach())

    def official_edr(self, zs: Tensor, z: Tensor, t: Tensor, y: Tensor, M: Tensor) -> Tensor:
        """All of the published objective but CE(z), a scalar: the present weights, z and t from the step's start."""
        hp, (W_I, W_T, G) = self.hp, self.weights
        Z, loss1 = zs, None
        if hp.worst_case:
            zc = worst_case(z, G)
            if hp.gen_steps > 0 and hp.edr_worst_case:
                # PUBLISHED CODE: the ratio is the other way round than in the forward pass, W_I is not transposed,
                # and the similarity is rewarded, which works against the generator that this loss also moves.
                zc2 = hp.ratio * zc + (1 - hp.ratio) * zc @ W_I
                loss1 = cross_entropy(self.s * zc2 @ t.T, y) - hp.lambda1 * similarity(zc, zs, M)
                Z = torch.cat([zs, zc])
            else:
                loss1 = cross_entropy(self.s * zc @ t.T, y)
        # PUBLISHED CODE: the adapters are not transposed here, and g is taken at a delta that is not zero.
        i = adapt(Z, W_I, hp.ratio, DELTA)
        j = adapt(self.ts, W_T, hp.ratio_text, DELTA)
        loss2 = hp.lambda2 * edr(i, j, hp.ratio, hp.ratio_text, hp.edr_reduction)
        return loss2 if loss1 is None else loss1 + loss2
