"""Local-Prompt: each class learns a context for places, against contexts that stand for no class.

Local-Prompt: Extensible Local Prompts for Few-Shot Out-of-Distribution Detection. ICLR 2025, arXiv 2409.04796. Code of
the authors: AuroraZengfh/Local-Prompt, trainers/localprompt.py.

Of many crops of a training image, those whose whole is most like the class's hand-written prompt are positive; the one
that is least like it is negative, and its places show what the class is not.

    min over v, w:   known + lambda outside + delta apart                                                 (1)
    known   = - mean log of  sum over j in J(p) of e(p_j l_y)  /  Z(p, all places)                        (2)
    outside = - mean log of  N(r)  /  ( N(r) + sum_c sum over the k largest of e(r_j l_c) )               (3)
    apart   = sum_ij n_i n_j^T / ( N (N - 1) )                                                            (4)
    l_c = u( g( [SOS] v_c <name of c>. [EOS] ) ),    n_i = u( g( [SOS] w_i . [EOS] ) )                    (5)
    logits:  s ( z t_c^T + log of the mean of the k' largest, over the places, of exp( p_j l_c / tau ) )  (6)

    v_c    (M, W)     context of class c                    p    (P, D)  unit-norm places of a positive crop
    w_i    (M, W)     context i of N that name no class     r    (P, D)  of the negative crop
    t, l   (C, D)     class features: u(`Task.text`), (5)   z    (D,)    unit-norm feature of the image
    n      (N, D)     features that stand for no class      y            label
    e(x)   exp( s x / tau )                                 s            logit scale
    J(p)   the k places where p_j l_y is largest            u(x)         x / |x|, row by row
    Z(p)   for each c and each i, the k largest of          N(r)         sum over j in J(r) and all i of e(r_j n_i)
           e(p_j l_c) and of e(p_j n_i), summed             g            frozen text tower, read at [EOS]

k and k' are at most P. Contexts start as N(0, 0.02^2). A step is taken for each positive crop of a batch, the likeliest
first. (4) counts each i with itself, as the published code does: a constant.

(6) orders classes as the authors' exp( z t^T ) mean exp( p l^T / tau ); it is that product's logarithm, times s.

The score `r_mcm` is the authors': with q_jc the softmax of p_j [l, n]^T / tau over C + N,

    m = max_c softmax( z t^T / tau )_c  +  mean of the k' largest q_jc, of all places and classes         (7)

given as `gl_mcm` gives its own: log-odds of m / 2, plus log(C - 1).

Crops are the task's views: `crops` of them from an epoch's view on, all where there are fewer. At most half of them are
positive, as 8 of 16 are. With one view there is nothing to choose from: it is positive and negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from croftbench.method import Examples, Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.scorers.odds import chance, mean_odds, top_odds, wide
from croftbench.scorers.places import BLOCK
from croftbench.training import Batch, Recipe, optimiser, train, unit

__all__ = ["LocalPrompt", "apart", "crops_of", "known", "outside", "r_mcm"]


def known(classes: Tensor, none: Tensor, y: Tensor, k: int) -> Tensor:
    """Equation (2), a scalar, of a positive crop.

    Args:
        classes: (B, P, C), s p l^T / tau.
        none: (B, P, N), s p n^T / tau.
        y: (B,) labels.
        k: places, at most P.
    """
    of_label = classes[torch.arange(len(y), device=y.device), :, y].topk(k, 1).values  # (B, k)
    every = torch.cat([classes.topk(k, 1).values, none.topk(k, 1).values], -1)  # (B, k, C + N)
    return (every.flatten(1).logsumexp(1) - of_label.logsumexp(1)).mean()


def outside(classes: Tensor, none: Tensor, y: Tensor, k: int) -> Tensor:
    """Equation (3), a scalar, of the negative crop; arguments as of `known`."""
    J = classes[torch.arange(len(y), device=y.device), :, y].topk(k, 1).indices  # (B, k)
    there = none.gather(1, J[..., None].expand(-1, -1, none.shape[-1])).flatten(1)
    every = torch.cat([there, classes.topk(k, 1).values.flatten(1)], 1)
    return (every.logsumexp(1) - there.logsumexp(1)).mean()


def apart(n: Tensor) -> Tensor:
    """Equation (4), a scalar: all pairs of (N, D) unit rows."""
    return n.sum(0).square().sum() / (len(n) * (len(n) - 1))


def r_mcm(z: Tensor, p: Tensor, t: Tensor, local: Tensor, none: Tensor, k: int, tau: float = 1.0) -> Tensor:
    """(B,) equation (7); higher = more in-distribution.

    Args:
        z: (B, D) unit-norm features of the images.
        p: (B, P, D) unit-norm features of their places.
        t: (C, D) unit-norm class features of images.
        local: (C, D) those of places, l.
        none: (N, D) what stands for no class, n.
        k: k', probabilities that count, at most P C.
        tau: temperature of both.
    """
    k = min(k, p.shape[1] * len(t))
    both = torch.cat([local, none])

    def of_places(part: Tensor) -> Tensor:
        logs = wide(part @ both.T / tau).log_softmax(-1)[..., : len(t)].flatten(1).topk(k, 1).values
        return logs - (-logs.expm1()).log()

    parts = torch.split(p, max(1, BLOCK // (p.shape[1] * len(both))))
    odds = torch.cat([top_odds(z @ t.T / tau)[:, None], torch.cat([of_places(part) for part in parts])], 1)
    weights = odds.new_tensor([1.0, *[1 / k] * k])
    return (mean_odds(odds, weights) + chance(len(t))).to(z)


def crops_of(examples: Examples, t: Tensor, crops: int, positives: int) -> Callable[[int, Tensor], Tensor]:
    """Places of chosen crops: (view, rows (B,)) -> (B, positives + 1, P, D), the likeliest first, the negative last.

    Args:
        examples: whose views are the crops.
        t: (C, D) unit-norm class features.
        crops: views that are looked at, from `view` on.
        positives: how many of them are chosen.
    """
    V = len(examples.views)

    def read(view: int, rows: Tensor) -> Tensor:
        looked_at = [(view + c) % V for c in range(crops)]
        likeness = (unit(examples.views[looked_at][:, rows]) * t[examples.labels[rows]]).sum(-1)  # (crops, B)
        order = likeness.argsort(0, descending=True)
        chosen = torch.cat([order[:positives], order[-1:]]).T  # (B, 1 + positives)
        found: Tensor | None = None
        for c, one in enumerate(looked_at):
            which, slot = (chosen == c).nonzero(as_tuple=True)
            if not len(which):
                continue
            p = examples.batch(one, rows[which])[:, 1:]
            found = p.new_empty(*chosen.shape, *p.shape[1:]) if found is None else found
            found[which, slot] = p
        assert found is not None  # a batch has an image, and each image a negative crop
        return found

    return read


@dataclass(frozen=True)
class LocalPrompt:
    """Hyper-parameters of Local-Prompt.

    Attributes:
        n_ctx: M, context vectors of a prompt.
        negatives: N, contexts that stand for no class.
        crops: views of an image among which an epoch chooses, at most those there are.
        positives: how many of them are positive, at most half; steps of a batch.
        k: places that count in training, at most P.
        k_test: k', places that count in logits and score, at most P, and P C in the score.
        lambda_neg: lambda, weight of the negative crop.
        div: delta, weight of the mean cosine among what stands for no class.
        tau: T, temperature of training, logits and score.
        recipe: the optimiser, which steps for each positive crop; the published code runs it in half precision.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "n_ctx": ">= 1", "negatives": ">= 2", "crops": ">= 1", "positives": ">= 1", "k": ">= 1", "k_test": ">= 1",
        "tau": "> 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs(image="patches", text="tower")
    version: ClassVar[int] = 1
    # AuroraZengfh/Local-Prompt, README.md (16 tokens, 5, 0.5, top 50; at test top 10), configs/trainers/LOCALPROMPT/
    # vit_b16_ep30.yaml, defaults of train.py; 16 crops and the weight decay are those of its own copy of Dassl. CRoFT
    # does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    n_ctx: int = 16
    negatives: int = 300
    crops: int = 16
    positives: int = 8
    k: int = 50
    k_test: int = 10
    lambda_neg: float = 5.0
    div: float = 0.5
    tau: float = 1.0
    recipe: Recipe = field(default_factory=lambda: Recipe(batch=256, weight_decay=5e-4))

    def fit(self, task: Task, /) -> Predictor:
        """Train all contexts on (1) for `recipe.epochs` and return the classifier (6) of the last ones.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower, s, rng, tau = task.towers.text, task.logit_scale, task.generator(), self.tau
        names, nameless = Prompts(tower, task.classnames), Prompts(tower, [""])
        v = initial_context(tower, (len(task.classnames), self.n_ctx, tower.width), rng).requires_grad_()
        w = initial_context(tower, (self.negatives, self.n_ctx, tower.width), rng).requires_grad_()
        t = unit(task.text)

        def texts() -> tuple[Tensor, Tensor]:
            own = tower.encode(names.start, torch.cat([v, names.rest], 1), names.end + self.n_ctx)  # a context a class
            return unit(own), nameless.features(w)[:, 0]  # (5)

        crops = min(self.crops, len(task.train.views))
        positives = max(1, min(self.positives, crops // 2))
        of_weights = optimiser([v, w], self.recipe)

        def step(batch: Batch) -> Tensor:
            p, y, losses = unit(batch.features), batch.labels, []
            k = min(self.k, p.shape[2])
            for positive in range(positives):
                local, none = texts()
                ours, theirs = (
                    (s * p[:, crop] @ local.T / tau, s * p[:, crop] @ none.T / tau, y, k) for crop in (positive, -1)
                )
                loss = known(*ours) + self.lambda_neg * outside(*theirs) + self.div * apart(none)  # (1)
                of_weights.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                of_weights.step()
                losses.append(loss.detach())
            return torch.stack(losses).mean()

        chosen = replace(task.train, read=crops_of(task.train, t, crops, positives))
        train(replace(task, train=chosen), self.recipe, [of_weights], rng, step)
        with torch.no_grad():
            local, none = texts()

        def predict(f: Tensor) -> Outputs:
            z, p = unit(f[:, 0]), unit(f[:, 1:])
            k = min(self.k_test, p.shape[1])
            of_places = (p @ local.T / tau).topk(k, 1).values.logsumexp(1) - math.log(k)
            score = r_mcm(z, p, t, local, none, self.k_test, tau)
            return Outputs(s * (z @ t.T + of_places), z, scores={"r_mcm": score})  # (6)

        return predict
