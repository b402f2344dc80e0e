"""GalLoP: contexts for the whole image, kept apart by dropout, and contexts for its places, kept apart by scale.

GalLoP: Learning Global and Local Prompts for Vision-Language Models. ECCV 2024, arXiv 2407.01400. Code of the authors:
MarcLafon/gallop, gallop/vlprompt/gallop.py, tools/global_local_loss.py, tools/topk_reduce.py.

    min over v, w, A:   CE( s mean over i in K_b of z_b t_i^T, y_b )  +  mean_j CE( s c_j, y )             (1)
    t_i = u( g( [SOS] v_i <name> [EOS] ) ),    l_j = u( g( [SOS] w_j <name> [EOS] ) )                     (2)
    c_j = mean of the k_j largest, over the places, of q l_j^T, class by class;     q = u( p A^T W )      (3)
    logits:   s ( mean_i z t_i^T + mean_j c_j ) / 2                                                       (4)

    v_i    (M, T)     context i of m, for images            z    (B, D)     unit-norm features of the images
    w_j    (M, T)     context j of n, for places            p    (B, P, V)  features of their places
    A      (V, V)     linear map of places, no bias         q    (B, P, D)  unit-norm mapped features
    W      (V, D)     the image tower's projection          y    (B,)       labels
    t, l   (C, D)     class features of a context           s               logit scale
    K_b               contexts that image b keeps:          u(x)            x / |x|, row by row
                      m - floor(dropout m), at least one    g               frozen text tower, read at [EOS]
    k_j    = j k, at most P

All contexts start as the same words and A as the identity: what tells v apart is which images keep it, and w its k_j.
Prompts end without a full stop. The score `gl_mcm` is the authors': GL-MCM with weight 1, of the cosines' means over
contexts, q for the places, and the likeliest of all places, whatever k_j.

Where A stands follows the tower, as in the authors' code. An image transformer that ends in a projection gives its
places before it, after its last norm, V wide. Any other tower (a ResNet; a network that is averaged over places, as in
the encoder that ships; a transformer without a projection) gives them in the joint space: V is D and W the identity.

`variant="official"` draws K_b with replacement, as the published code does: an image may keep a context twice. Where
one is kept, as by default, that is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from croftbench.classnames import as_words
from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import initial_context
from croftbench.scorers.places import gl_mcm
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["GalLoP", "image_loss", "place_loss", "top_places"]


def top_places(q: Tensor, local: Tensor, k: int) -> Tensor:
    """(n, B, C) c of equation (3); the authors' code also stops at P places where there are fewer than k_j.

    Args:
        q: (B, P, D) unit-norm mapped features of places.
        local: (n, C, D), l.
        k: of the first context; context j has j k.
    """
    P = q.shape[1]
    return torch.stack([(q @ t.T).topk(min(j * k, P), 1).values.mean(1) for j, t in enumerate(local, start=1)])


def image_loss(cosines: Tensor, y: Tensor, s: float, kept: Tensor) -> Tensor:
    """First term of (1), a scalar.

    Args:
        cosines: (B, m, C), z t^T.
        y: (B,) labels.
        s: logit scale.
        kept: (B, |K|) positions of the contexts that an image keeps.
    """
    of_kept = cosines.gather(1, kept[..., None].expand(-1, -1, cosines.shape[-1]))
    return cross_entropy(s * of_kept.mean(1), y)


def place_loss(c: Tensor, y: Tensor, s: float) -> Tensor:
    """Second term of (1), a scalar, of (n, B, C) means over places."""
    return cross_entropy(s * c.flatten(0, 1), y.repeat(len(c)))


@dataclass(frozen=True)
class GalLoP:
    """Hyper-parameters of GalLoP.

    Attributes:
        n_global: m, contexts for images.
        n_local: n, contexts for places.
        k: places of the first of those; the j-th has j k, at most P: all places of a small image.
        dropout: share of the image's contexts that a step leaves out.
        words: what every context starts as.
        tau: temperature of the score, as in GL-MCM.
        variant: how the kept contexts are drawn: "correct" each at most once, "official" with replacement.
        recipe: the optimiser; the published code runs it in half precision.
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "n_global": ">= 1", "n_local": ">= 1", "k": ">= 1", "dropout": ">= 0, <= 1", "tau": "> 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs(image="unprojected-patches", otherwise="patches", text="tower")
    version: ClassVar[int] = 1
    # MarcLafon/gallop, scripts/run_*.sh and the defaults of gallop/train.py: 200 epochs in batches of 32; ImageNet has
    # 50 in batches of 128, which its suite says. CRoFT does not compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    n_global: int = 4
    n_local: int = 4
    k: int = 5
    dropout: float = 0.75
    words: str = "a photo of a"
    tau: float = 1.0
    variant: Literal["correct", "official"] = "correct"
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=200, weight_decay=0.01, warmup=0))

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("words must not be empty")

    def kept(self, images: int, rng: torch.Generator) -> Tensor:
        """(B, |K|) positions of the contexts that each of B images keeps in a step."""
        m = self.n_global
        count = max(m - int(self.dropout * m), 1)
        if self.variant == "official":  # PUBLISHED CODE
            return torch.randint(m, (images, count), generator=rng)
        return torch.rand(images, m, generator=rng).argsort(1)[:, :count]

    def fit(self, task: Task, /) -> Predictor:
        """Train contexts and map on (1) for `recipe.epochs` and return the classifier (4) of the last ones.

        Raises:
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        tower, s, rng = task.towers.text, task.logit_scale, task.generator()
        W = task.towers.projection if task.towers.unprojected else None
        start = initial_context(tower, (), rng, self.words)
        v, w = (start.repeat(n, 1, 1).requires_grad_() for n in (self.n_global, self.n_local))
        A = torch.eye(task.text.shape[1] if W is None else len(W.weight)).to(start).requires_grad_()

        def features(f: Tensor) -> tuple[Tensor, Tensor]:
            """(B, 1 + P, V) as images are given -> z (B, D) and q (B, P, D) of (3)."""
            whole, places = f[:, 0], f[:, 1:] @ A.T
            return (unit(whole), unit(places)) if W is None else (unit(W(whole)), unit(W(places)))

        def texts(tokens: tuple[Tensor, Tensor], contexts: Tensor) -> Tensor:
            sos = tower.start().expand(len(contexts), -1, -1)
            return unit(tower.encode(torch.cat([sos, contexts], 1), *tokens))  # (2): (n, C, D)

        own = tower.tokens([as_words(name) for name in task.classnames])

        def loss(batch: Batch) -> Tensor:
            z, q = features(batch.features)
            kept = self.kept(len(z), rng).to(z.device)
            cosines = (z @ texts(own, v).mT).transpose(0, 1)
            c = top_places(q, texts(own, w), self.k)
            return image_loss(cosines, batch.labels, s, kept) + place_loss(c, batch.labels, s)  # (1)

        descend(task, self.recipe, [v, w, A], rng, loss)
        for x in (v, w, A):
            x.requires_grad_(False)

        def prepare(names: tuple[str, ...], text: Tensor) -> tuple[Tensor, Tensor]:
            tokens = tower.tokens([as_words(name) for name in names])
            return texts(tokens, v).mean(0), texts(tokens, w)

        def predict(f: Tensor, prepared: tuple[Tensor, Tensor]) -> Outputs:
            t, local = prepared
            z, q = features(f)
            logits = s * (z @ t.T + top_places(q, local, self.k).mean(0)) / 2  # (4)
            # Images and places have texts of their own: laid side by side, each meets its half.
            both, D = torch.cat([t, local.mean(0)], 1), t.shape[1]
            score = gl_mcm(pad(z, (0, D)), pad(q, (D, 0)), both, tau=self.tau)
            return Outputs(logits, z, scores={"gl_mcm": score})

        return Renaming(prepare, predict, task.classnames, task.text)
