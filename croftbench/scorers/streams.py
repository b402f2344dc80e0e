"""Scores of a stream: they learn from the test images that they have scored before what unknown images look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from croftbench.scorers import negatives
from croftbench.scorers.context import Context, NotApplicableError, Order, Scorer, Stream, class_features, norm
from croftbench.scorers.odds import mean_odds, wide

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs

RECENT = 20_000
"""Probabilities that TANL finds its threshold in: the authors' `score_queue_len`."""

NOISE = 3
"""Images of each kind of noise, as the authors draw."""


def adaneg(
    context: Context,
    words: str = "wordnet",
    share: float = 0.15,
    eta: float = 0.05,
    groups: int = 5,
    gap: float = 0.5,
    memory: int = 10,
    weight: float = 0.1,
    batch: int = 256,
    order: Order = "mixed",
) -> Stream:
    """AdaNeg: NegLabel, and NegLabel again with words that are moved towards the sure images of the stream, log-odds.

    AdaNeg: Adaptive Negative Proxy Guided OOD Detection with Vision-Language Models, NeurIPS 2024, arXiv 2410.20149.

        q(z; P)  NegLabel's mean over groups, with the rows of P in place of the text features of classes and words
        T        (C + M, D) these text features;  A: proxies, each the unit mean of its row of T and its memory
        score    log-odds of (q(z; A) + `weight` q(z; T)) / (1 + `weight`)

    An image with q(z; T) > 1/2 + `gap` / 2 goes to the memory of its likeliest class, one with q(z; T) < 1/2 - `gap` /
    2 to that of its likeliest word. A memory has `memory` places, of which the text takes one and the authors' code
    never fills the last. When it is full, an image replaces the one of largest entropy (among classes, or among
    words), if its own is smaller. A batch is stored before it is scored, as published.

    Task-adaptive proxies with the settings of the authors' ImageNet script. Words are those of `neglabel` (there:
    10,000), classes the method's own class features.
    """
    import torch

    mined = negatives.mined(context, words, share, eta)
    dealt = negatives.dealt(mined, groups, words)
    s = context.logit_scale

    def start() -> Scorer:
        memories: _Memories | None = None

        def score(outputs: Outputs) -> Tensor:
            nonlocal memories
            negatives.check_space(outputs, mined)
            w, z = class_features(outputs), outputs.features
            if memories is None:
                memories = _Memories(torch.cat([w, mined.to(w)]), memory)
            plain = s * z @ torch.cat([w, mined.to(w)]).T
            odds = _odds(plain, len(w), dealt, groups)
            sure = mean_odds(odds, torch.ones_like(odds[0])).sigmoid()
            memories.store(z, plain[:, : len(w)], 0, sure > 0.5 + gap / 2)
            memories.store(z, plain[:, len(w) :], len(w), sure < 0.5 - gap / 2)
            moved = _odds(s * z @ memories.proxies().T, len(w), dealt, groups)
            weights = torch.cat([torch.ones_like(odds[0]), torch.full_like(odds[0], weight)])
            return mean_odds(torch.cat([moved, odds], 1), weights).to(outputs.logits)

        return score

    return Stream(start, batch, order)


def tanl(
    context: Context,
    words: str = "wordnet",
    top: int = 1000,
    memory: int = 300,
    gap: float = 0.5,
    blend: float = 0.0,
    batch: int = 256,
    order: Order = "mixed",
) -> Stream:
    """TANL: NegLabel with the words that unknown images of the stream activate and known ones do not, as log-odds.

    Activation Matters: Test-time Activated Negative Labels for OOD Detection with Vision-Language Models, CVPR 2026,
    arXiv 2603.25250.

        a(z)   (M,) the words' part of softmax(s z [w; n]^T), over classes w and all words n
        words  the `top` with the largest mean a of images taken for unknown less that of images taken for known
        q(z)   1/K sum_k  sum_c e^(s z w_c) / ( sum_c e^(s z w_c) + sum_{j <= k} e^(s z n_j) ),  words in that order
        score  log q - log(1 - q)

    At the start, the known images are the class features and the unknown ones fifteen images of noise. Each batch is
    scored with the words so far: what lies `gap` of the way from a threshold to 1 is known, to 0 unknown. The threshold
    is Otsu's (1979), of the last 20,000 q. The batch is then scored with words by its own means (`blend` 0, as in the
    authors' script; 1: by the memories', and in between), and its sure images join two memories of the last `memory`.

    Prompts are NegLabel's; classes are the method's own class features, and words that are the name of one left out.
    Noise goes through the frozen encoder, whatever a method does to its features.
    """
    import torch

    n = torch.cat(list(negatives.every_word(context, words)))
    if context.encode_drawn is None:
        raise NotApplicableError("there is no image tower to show noise to.")
    noise = context.encode_drawn(_noise)
    s = context.logit_scale

    def start() -> Scorer:
        seen: _Activations | None = None

        def score(outputs: Outputs) -> Tensor:
            nonlocal seen
            negatives.check_space(outputs, n)
            w = class_features(outputs)
            if seen is None:
                seen = _Activations(s, w, n.to(w), min(top, len(n)), memory)
                seen.begin((noise / norm(noise)[:, None]).to(w))
            return seen.score(outputs.features, gap, blend).to(outputs.logits)

        return score

    return Stream(start, batch, order)


# ----------------------------------------------------------------------------------------- AdaNeg


class _Memories:
    """Images by the class or word that they are taken for: (P, D) texts, and up to `places` - 2 images of each."""

    def __init__(self, texts: Tensor, places: int) -> None:
        self.total = texts.clone()
        self.room = places - 1
        self.kept: dict[int, list[tuple[float, Tensor]]] = {}

    def store(self, z: Tensor, logits: Tensor, first: int, sure: Tensor) -> None:
        """Keep the sure of (B, D) images, in their order, with the likeliest of the (B, P') that begin at `first`."""
        import torch

        entropy = torch.special.entr(wide(logits).softmax(1)).sum(1)
        for i in sure.nonzero().flatten().tolist():
            row, own = first + int(logits[i].argmax()), float(entropy[i])
            there = self.kept.setdefault(row, [])
            if len(there) == self.room:
                worst = max(range(self.room), key=lambda j: there[j][0])
                if own >= there[worst][0]:
                    continue
                self.total[row] -= there.pop(worst)[1]
            there.append((own, z[i].clone()))
            self.total[row] += z[i]

    def proxies(self) -> Tensor:
        """(P, D) of unit length."""
        return self.total / norm(self.total)[:, None]


def _odds(logits: Tensor, classes: int, dealt: Tensor, groups: int) -> Tensor:
    """(B, G) log-odds of the classes among (B, C + M) logits, one group of words at a time."""
    inside = wide(logits[:, :classes]).logsumexp(1)
    outside = wide(logits[:, classes:][:, dealt]).reshape(len(logits), groups, -1).logsumexp(2)
    return inside[:, None] - outside


# ------------------------------------------------------------------------------------------- TANL


class _Activations:
    """What known and unknown images of the stream activate: the state of TANL. Scale, (C, D) classes, (M, D) words."""

    def __init__(self, s: float, w: Tensor, n: Tensor, top: int, memory: int) -> None:
        self.s, self.w, self.n, self.top, self.memory = s, w, n, top, memory

    def begin(self, unknown: Tensor) -> None:
        """Before the first image of the stream: classes are known, (B, D) others unknown; what memories lack room for
        is left to chance.
        """
        import torch

        def remembered(z: Tensor) -> Tensor:
            shuffled = torch.randperm(len(z), generator=torch.Generator().manual_seed(0)).to(z.device)
            return self._activated(z[shuffled])[-self.memory :]

        self.known, self.unknown = remembered(self.w), remembered(unknown)
        words = self._words(self.known.mean(0), self.unknown.mean(0))
        self.recent = torch.cat([self._odds(z, words).sigmoid() for z in (self.w, unknown)])

    def score(self, z: Tensor, gap: float, blend: float) -> Tensor:
        """(B,) float64 log-odds of the next batch."""
        import torch

        known, unknown = self.known.mean(0), self.unknown.mean(0)
        q = self._odds(z, self._words(known, unknown)).sigmoid()
        self.recent = torch.cat([self.recent, q])[-RECENT:]
        threshold = _otsu(self.recent)
        a = self._activated(z)
        sure_known, sure_unknown = a[q > threshold + gap * (1 - threshold)], a[q < threshold - gap * threshold]
        if len(sure_known):
            known = blend * known + (1 - blend) * sure_known.mean(0)
        if len(sure_unknown):
            unknown = blend * unknown + (1 - blend) * sure_unknown.mean(0)
        self.known = torch.cat([self.known, sure_known])[-self.memory :]
        self.unknown = torch.cat([self.unknown, sure_unknown])[-self.memory :]
        return self._odds(z, self._words(known, unknown))

    def _activated(self, z: Tensor) -> Tensor:
        import torch

        return (self.s * z @ torch.cat([self.w, self.n]).T).softmax(1)[:, len(self.w) :]

    def _words(self, known: Tensor, unknown: Tensor) -> Tensor:
        """(K, D) the most activated first."""
        return self.n[(unknown - known).argsort(descending=True, stable=True)[: self.top]]

    def _odds(self, z: Tensor, words: Tensor) -> Tensor:
        """(B,) log-odds of the mean over the first k words, k = 1 .. K, of the classes' probability."""
        import torch

        inside = wide(self.s * z @ self.w.T).logsumexp(1)
        outside = wide(self.s * z @ words.T).logcumsumexp(1)
        return mean_odds(inside[:, None] - outside, torch.ones(len(words)).to(outside))


def _otsu(p: Tensor) -> float:
    """Of 0, 0.01, ..., 0.99, the threshold with the least variance within the two parts; of several, the middle one."""
    import torch

    thresholds = torch.arange(100, dtype=p.dtype, device=p.device) / 100
    above = (p >= thresholds[:, None]).to(p)  # (100, N)
    n, total = above.sum(1), above @ p
    between = total.square() / n + (p.sum() - total).square() / (len(p) - n)  # least within is most between
    between = torch.where((n > 0) & (n < len(p)), between, -torch.inf)
    best = (between == between.max()).nonzero().flatten()
    return float(thresholds[best[len(best) // 2]])


def _noise(size: tuple[int, int]) -> Tensor:
    """(15, 3, H, W) images of Gaussian, uniform, Poisson, gamma and salt-and-pepper noise, from 0 to 1."""
    import torch

    draw, shape = torch.Generator().manual_seed(0), (NOISE, 3, *size)

    def uniform() -> Tensor:
        return torch.rand(shape, generator=draw)

    def within(x: Tensor) -> Tensor:
        return (x - x.min()) / (x.max() - x.min())

    kinds: tuple[Callable[[], Tensor], ...] = (
        lambda: within(torch.randn(shape, generator=draw)),
        uniform,
        lambda: within(torch.poisson(torch.full(shape, 5.0), generator=draw)),
        lambda: within(-(1 - uniform()).log() - (1 - uniform()).log()),  # Gamma(2, 1): two exponentials
        lambda: (uniform() >= 0.5).float(),
    )
    return torch.cat([kind() for kind in kinds])
