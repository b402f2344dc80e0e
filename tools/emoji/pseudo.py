"""ImageNet's classes without its images: pooled features that its classifier is sure of, and their names.

Where the features of every class spread alike, a linear classifier's row is w = S^-1 (m - mean), S being that spread
and m the mean of the class (linear discriminant analysis). So the feature x of any image, moved by a S w, reads as that
class; `a` is drawn so that the class's logit rises by PUSH.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PUSH = (6.0, 18.0)
COUNT = 320
"""Classes a batch."""
TEMPLATES = (
    "{}",
    "{}",
    "a {}.",
    "a photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "the {}",
    "a picture of a {}.",
)


class Classes:
    """Draws features, captions and which caption is right for which feature."""

    def __init__(self, classes: list[dict], classifier: nn.Linear, bank: Tensor, sampler, rng: torch.Generator) -> None:
        self.classes, self.bank, self.sampler, self.rng = classes, bank, sampler, rng
        rows = classifier.weight - classifier.weight.mean(0)
        spread = torch.cov(bank.T)
        shrunk = 0.8 * spread + 0.2 * torch.diag(spread.diagonal())
        self.way = rows @ shrunk
        self.rise = (self.way * rows).sum(1)
        known = {key: int(i) for key, i in zip((p["key"] for p in sampler.pairs), sampler.keys, strict=True)}
        more = (k for c in classes for k in (c["key"], *c["broader"].values()))
        for key in more:
            known.setdefault(key, len(known))
        self.own = torch.tensor([known[c["key"]] for c in classes])
        self.broader = [[(name, known[key]) for name, key in c["broader"].items()] for c in classes]
        self.member = torch.zeros(len(classes), len(known), dtype=torch.bool)
        for i, c in enumerate(classes):
            self.member[i, [known[k] for k in (c["key"], *c["broader"].values())]] = True

    def draw(self, other_keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """COUNT features (COUNT, 1280), captions (COUNT, L), and positives (COUNT, COUNT + others)."""
        chosen = torch.randperm(len(self.classes), generator=self.rng)[:COUNT]
        base = self.bank[torch.randint(len(self.bank), (COUNT,), generator=self.rng)]
        push = PUSH[0] + (PUSH[1] - PUSH[0]) * torch.rand(COUNT, 1, generator=self.rng)
        feature = (base + push * self.way[chosen] / self.rise[chosen, None]).clamp(0, 6)
        captions, keys = [], []
        for i in chosen.tolist():
            name, key = self.classes[i]["name"], int(self.own[i])
            if self.broader[i] and self.sampler.chance(0.3):
                name, key = self.sampler.pick(self.broader[i])
            captions.append(self.sampler.pick(TEMPLATES).format(name))
            keys.append(key)
        asked = torch.cat([torch.tensor(keys), other_keys])
        return feature, self.sampler.tokens(captions), self.member[chosen][:, asked]
