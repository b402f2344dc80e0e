"""Prompts: class names in a suite's templates, and CoOp's learned context before them.

Source: KaiyangZhou/CoOp (IJCV 2022, arXiv 2109.01134), whose context many methods learn, and LinLLLL/CRoFT for the
ensemble of templates.

    t_c(v) = u( g( [SOS] v_1 ... v_M  <name of c>. [EOS] ) )                                              (1)

    v      (M, W)  context                              g      frozen text tower, read at [EOS]
    t      (C, D)  class features                       u(x)   x / |x|, row by row
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from croftbench.classnames import as_words
from croftbench.method import TextTower
from croftbench.training import unit

__all__ = ["STD", "Prompts", "class_text", "initial_context", "raw_text"]

STD = 0.02
"""Standard deviation of a context that starts at random."""


def class_text(
    encode: Callable[[Sequence[str]], Tensor], classnames: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """(C, D) text features of class names, as `Task.text` defines them.

    Args:
        encode: P texts -> (P, D) raw text features.
        classnames: C names.
        templates: prompts with `{}` for a name. One: the raw feature. Several: the unit-norm mean of unit-norm ones.
    """
    features = _prompted(encode, classnames, templates)
    if len(templates) == 1:
        return features[0]
    return unit(unit(features).mean(0))


def raw_text(encode: Callable[[Sequence[str]], Tensor], classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
    """(C, D) text features of class names, as `Task.raw_text` defines them; arguments as of `class_text`."""
    return _prompted(encode, classnames, templates).mean(0)


def _prompted(encode: Callable[[Sequence[str]], Tensor], classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
    """(T, C, D) raw features of every name in every template."""
    prompts = [template.format(as_words(name)) for template in templates for name in classnames]
    return encode(prompts).reshape(len(templates), len(classnames), -1)


class Prompts:
    """Class names in the text tower, ready for any context before them.

    Args:
        tower: the frozen text tower.
        classnames: C names.

    Attributes:
        start: (1, W) embedding of [SOS].
        rest: (C, L, W) embeddings of "<name>. [EOS]", then padding.
        end: (C,) where [EOS] stands in `rest`.
    """

    def __init__(self, tower: TextTower, classnames: Sequence[str]) -> None:
        self.tower = tower
        self.start = tower.start()
        self.rest, self.end = tower.tokens([f"{as_words(name)}." for name in classnames])

    def features(self, v: Tensor, eps: float = 0.0) -> Tensor:
        """Equation (1): (C, D) for a context (M, W), (B, C, D) for B contexts (B, M, W); `eps` as in `unit`.

        Raises:
            UsageError: context and longest class name do not fit the text tower.
        """
        start = self.start if v.ndim == 2 else self.start.expand(len(v), -1, -1)
        return unit(self.tower.encode(torch.cat([start, v], dim=-2), self.rest, self.end), eps)


def initial_context(tower: TextTower, shape: tuple[int, ...], rng: torch.Generator, words: str = "") -> Tensor:
    """A context before training: N(0, STD^2) of that shape, or the (M, W) embeddings of the words, if there are any."""
    start = tower.start()
    if words:
        embedded, end = tower.tokens([words])
        return embedded[0, : int(end[0])].clone()
    return STD * torch.randn(*shape, generator=rng, dtype=start.dtype).to(start.device)
