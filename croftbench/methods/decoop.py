"""DeCoOp: detectors of new classes say which images a learned prompt classifies, and which zero-shot CLIP does.

DeCoOp: Robust Prompt Tuning with Out-of-Distribution Detection, ICML 2024, arXiv 2406.00345.
Code of the authors: WNJXYK/DeCoOp, models/decoop.py.

K times every K-th class plays a new one. Detector i is a context that knows the classes S_i = {c : c mod K != i}, with
low entropy for their images and a high one for those of the others, (1). The images that it recognises train
sub-classifier i to tell all classes apart, the others keep it at zero-shot CLIP, (3):

    min over v:   mean_i  CE( p_i, y )_I  +  max( 0, m + H(p_i)_I - H(p_i)_O )                            (1)
    r_i = max_{c in S_i} p_ic,    p_i = softmax( s z t(v_i)^T ),    o_i = log r_i - log(1 - r_i)          (2)
    min over w:   mean_i  CE( q_i, y )_{r_i >= tau}  +  KL( q_0 | q_i )_{r_i < tau}                       (3)
    logits = mean_i [r_i >= tau] s z t(w_i)^T,  or s z e^T where no r_i >= tau                            (4)

    v, w   (K, M, W)  contexts of detectors and of sub-classifiers, start as N(0, 0.02^2)
    t(v)_c (K, C, D)  u( g( [SOS] v_1 ... v_M  <name of c>. [EOS] ) )     s      logit scale
    g                 frozen text tower, read at [EOS]                    m      `margin`
    z      (B, D)     unit-norm features of the images                    y      (B,) labels
    e      (C, D)     unit-norm features of the hand-written prompts      q_0    softmax( s z e^T )
    I, O              the batch's images of S_i, and the others           q_i    softmax( s z t(w_i)^T )

A subscript says over which of the batch's images the mean is; H is the entropy. p_i is over S_i in (1), and in (2) over
all class names, also new ones that are to be told apart. tau is Otsu's threshold for r_i of the training images, the
least of K. A batch without I or without O has no hinge; the published loss then is no number. The score `decoop` is
max_i o_i.

`variant="official"` is the published code where it is by the way: a shorter S_i gets class i too, whose images remain
new to it, so that all are of one size; and the cosine of (3) is stepped at every batch, not epoch, so that it swings
between `lr` and 0. Both places are marked PUBLISHED CODE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from croftbench.errors import DataError
from croftbench.method import Needs, Outputs, Predictor, Recipes, Task
from croftbench.prompting import Prompts, initial_context
from croftbench.scorers.odds import wide
from croftbench.training import Batch, Recipe, Renaming, descend, unit

__all__ = ["DeCoOp"]

BINS = 256


@dataclass(frozen=True)
class Swinging(Recipe):
    """The published schedule of (3)."""

    def lr_at(self, epoch: int, step: int = 0, steps: int = 1) -> float:
        """PUBLISHED CODE: a cosine over as many steps as there should be epochs, and on after its end."""
        return self.lr * (1 + math.cos(math.pi * (epoch * steps + step) / self.epochs)) / 2


def splits(classes: int, K: int, official: bool = False) -> list[list[int]]:
    """S_i as positions of classes; with `official` all of one size."""
    known = [[c for c in range(classes) if c % K != i] for i in range(K)]
    if official:
        most = max(map(len, known))
        known = [one + [i] * (most - len(one)) for i, one in enumerate(known)]  # PUBLISHED CODE: class i is among them
    return known


def labels_within(split: Sequence[int], i: int, classes: int, K: int) -> Tensor:
    """(C,) where a class stands in S_i; -1 for those that play new ones."""
    return torch.tensor([-1 if c % K == i else split.index(c) for c in range(classes)])


def entropy_margin(classes: int) -> float:
    """H of even probabilities less H of one of 0.6 and even others, of `classes`: the published code's "auto"."""
    if classes < 2:
        return 0.0
    return math.log(classes) + 0.6 * math.log(0.6) + 0.4 * math.log(0.4 / (classes - 1))


def detector_loss(logits: Tensor, y: Tensor, margin: float) -> Tensor:
    """One i of (1), a scalar.

    Args:
        logits: (B, |S_i|).
        y: (B,) labels within S_i, -1 for images of O.
        margin: m.
    """
    known = y >= 0
    if not known.any():
        return 0 * logits.sum()
    log_p = logits.log_softmax(1)
    H = -(log_p.exp() * log_p).sum(1)
    ce = cross_entropy(logits[known], y[known])
    return ce if known.all() else ce + (margin + H[known].mean() - H[~known].mean()).clamp(min=0)


def classifier_loss(logits: Tensor, zero_shot: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """One i of (3), a scalar; logits and zero-shot logits (B, C), labels (B,), r_i >= tau (B,)."""
    loss = logits.new_zeros(())
    if known.any():
        loss = loss + cross_entropy(logits[known], y[known])
    if not known.all():
        q, q0 = logits[~known].log_softmax(1), zero_shot[~known].log_softmax(1)
        loss = loss + kl_div(q, q0, reduction="batchmean", log_target=True)
    return loss


def logits_of(z: Tensor, t: Tensor, s: float) -> Tensor:
    """Of images (B, D) and K kinds of class features (K, C, D): s z t_i^T, (B, K, C)."""
    return s * torch.einsum("bd,kcd->bkc", z, t)


def detected(logits: Tensor, known: Sequence[Sequence[int]]) -> Tensor:
    """o, (B, K) in float64. Equation (2), of s z t(v_i)^T (B, K, C); S_i by position."""
    x = wide(logits)
    odds = []
    for i, split in enumerate(known):
        chosen = torch.tensor(split, device=x.device)
        best = chosen[x[:, i, chosen].argmax(1)][:, None]
        odds.append(x[:, i].gather(1, best)[:, 0] - x[:, i].scatter(1, best, -math.inf).logsumexp(1))
    return torch.stack(odds, 1)


def otsu(p: Tensor) -> float:
    """The centre of one of 256 bins over p (N,): where the variance between the two sides is largest.

    Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Trans. SMC 1979.
    """
    if p.min() == p.max():
        return float(p[0])
    counts, edges = np.histogram(p.cpu().numpy(), BINS)
    x = (edges[:-1] + edges[1:]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    means = (counts * x).cumsum() / below, ((counts * x)[::-1].cumsum() / above[::-1])[::-1]
    between = below[:-1] * above[1:] * (means[0][:-1] - means[1][1:]) ** 2
    return float(x[between.argmax()])


class Texts(NamedTuple):
    """What prediction needs of C' class names, some of them perhaps new.

    Attributes:
        detectors: (K, C'', D) t(v) of the classes of training, then of the new ones.
        classifiers: (K, C', D) t(w).
        written: (C', D) e.
    """

    detectors: Tensor
    classifiers: Tensor
    written: Tensor


@dataclass(frozen=True)
class DeCoOp:
    """Hyper-parameters of DeCoOp; the defaults are those of the authors' configuration.

    Attributes:
        variant: "correct", or "official": the published code.
        K: how often another part of the classes plays new ones; never more than there are classes.
        margin: m, in nats.
        auto_margin: m is that between even probabilities and one of 0.6, which the published code calls "auto".
        n_ctx: M, context vectors.
        detector_epochs: of (1), at a constant rate.
        recipe: the optimiser of both stages, plain gradient descent; epochs and schedule are those of (3).
    """

    ranges: ClassVar[Mapping[str, str]] = {
        "K": ">= 2", "margin": ">= 0", "n_ctx": ">= 1", "detector_epochs": ">= 0",
    }  # fmt: skip
    needs: ClassVar[Needs] = Needs(text="tower")
    version: ClassVar[int] = 1
    # WNJXYK/DeCoOp, configs/decoop/Vit-B16.yaml and models/decoop.py, for 16 shots: the defaults. CRoFT does not
    # compare with it.
    recipes: ClassVar[Recipes] = {"authors": {}, "croft-comparison": {}}

    variant: Literal["correct", "official"] = "correct"
    K: int = 3
    margin: float = 0.4
    auto_margin: bool = False
    n_ctx: int = 16
    detector_epochs: int = 50
    recipe: Recipe = field(
        default_factory=lambda: Recipe(epochs=100, momentum=0.0, weight_decay=0.0, warmup=0, keep_last=True)
    )

    def __post_init__(self) -> None:
        if self.n_ctx < 1 or self.K < 2:
            raise ValueError("n_ctx must be 1 or more, and K 2 or more")

    def fit(self, task: Task, /) -> Predictor:
        """Train detectors, then sub-classifiers, and return the classifier of the last epoch's prompts.

        Raises:
            DataError: there is one class.
            TrainingError: an epoch's mean loss is not finite.
            UsageError: context and longest class name do not fit the text tower.
        """
        C, tower, s, rng = len(task.classnames), task.towers.text, task.logit_scale, task.generator()
        if C < 2:
            raise DataError("decoop plays with classes that are not there, and there is only one.", "Give it two.")
        K, official = min(self.K, C), self.variant == "official"
        known = splits(C, K, official)
        v, w = (initial_context(tower, (K, self.n_ctx, tower.width), rng).requires_grad_() for _ in range(2))

        self._train_detectors(task, rng, v, known)
        prompts, e = Prompts(tower, task.classnames), unit(task.text)
        with torch.no_grad():
            t = prompts.features(v)  # (K, C, D)
            o = torch.cat([detected(logits_of(unit(view), t, s), known) for view in task.train.views])
        tau = min(otsu(r) for r in o.sigmoid().T)

        def of_classifiers(batch: Batch) -> Tensor:
            z = unit(batch.features)
            inside = (detected(logits_of(z, t, s), known).sigmoid() >= tau).to(z.device)
            logits, zero_shot = logits_of(z, prompts.features(w), s), s * z @ e.T
            losses = [classifier_loss(logits[:, i], zero_shot, batch.labels, inside[:, i]) for i in range(K)]
            return torch.stack(losses).mean()  # (3)

        recipe = Swinging(**asdict(self.recipe)) if official else self.recipe
        descend(self._reporting(task, self.detector_epochs), recipe, [w], rng, of_classifiers)

        def texts(names: tuple[str, ...], text: Tensor) -> Texts:
            new = tuple(name for name in names if name not in task.classnames)
            every = torch.cat([t, Prompts(tower, new).features(v)], 1) if new else t
            return Texts(every, Prompts(tower, names).features(w), unit(text))

        def predict(f: Tensor, texts: Texts) -> Outputs:
            z = unit(f)
            odds = detected(logits_of(z, texts.detectors, s), known)
            inside = (odds.sigmoid() >= tau).to(z.device)  # (B, K)
            learned = (inside[..., None] * logits_of(z, texts.classifiers, s)).mean(1)
            logits = torch.where(inside.any(1, keepdim=True), learned, s * z @ texts.written.T)  # (4)
            return Outputs(logits, z, scores={"decoop": odds.amax(1).to(z)})

        return Renaming(texts, predict, task.classnames, task.text)

    def _reporting(self, task: Task, done: int) -> Task:
        """The task, whose epochs are counted over both stages."""
        both = self.detector_epochs + self.recipe.epochs
        return replace(task, on_epoch=lambda epoch, _, loss: task.on_epoch(done + epoch, both, loss))

    def _train_detectors(self, task: Task, rng: torch.Generator, v: Tensor, known: list[list[int]]) -> None:
        """Minimise (1) over v, in place."""
        K, C, s = len(known), len(task.classnames), task.logit_scale
        prompts = [Prompts(task.towers.text, [task.classnames[c] for c in split]) for split in known]
        within = [labels_within(split, i, C, K).to(task.train.labels.device) for i, split in enumerate(known)]
        m = entropy_margin(max(map(len, known))) if self.auto_margin else self.margin

        def loss(batch: Batch) -> Tensor:
            z = unit(batch.features)
            logits = (s * z @ prompts[i].features(v[i]).T for i in range(K))
            return torch.stack([detector_loss(x, within[i][batch.labels], m) for i, x in enumerate(logits)]).mean()

        recipe = replace(self.recipe, epochs=self.detector_epochs, schedule="constant")
        descend(self._reporting(task, 0), recipe, [v], rng, loss)
        v.requires_grad_(False)
