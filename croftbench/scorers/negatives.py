"""Scores that ask whether an image looks more like words that no class is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.classnames import comparable
from croftbench.errors import DataError, UsageError
from croftbench.scorers.context import Context, NotApplicableError, Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs

BLOCK = 2**24
"""Cosines held at once: 64 MiB of them."""


def neglabel(
    context: Context, words: str, share: float = 0.15, eta: float = 0.05, groups: int = 100, T: float = 1.0
) -> Scorer:
    """NegLabel: the probability that is left to the classes when words far from all of them compete.

    Negative Label Guided OOD Detection with Pretrained Vision-Language Models, ICLR 2024, arXiv 2403.20078.

        1/G sum_g  sum_c e^(logit_c / T) / ( sum_c e^(logit_c / T) + sum_{n in g} e^(s z n / T) )

        n   features of mined words, in the suite's prompts, dealt at random into G = `groups` equal groups
        NegMining: of all words, the `share` with the largest d(n) = the eta-quantile over classes c of -cos(n, c)

    `words` is a text file, one word a line. Words that are the name of a class are left out, repeated ones count
    once, and what the groups do not share evenly is dropped. Classes enter mining as the frozen encoder names them,
    and the score as the method's own logits, which already carry s (the authors' temperature of 0.01). The authors
    mine nouns and adjectives of WordNet separately and prompt them differently; here all words are nouns.
    """
    import torch

    negatives = _mined(context, Path(words), share, eta)  # (M, D)
    if len(negatives) < groups:
        raise UsageError(
            f"{words}: {len(negatives)} words are mined, fewer than groups={groups}.",
            "Give more words, a larger share, or fewer groups.",
        )
    order = torch.randperm(len(negatives), generator=torch.Generator().manual_seed(0))
    order = order[: len(order) // groups * groups].to(negatives.device)
    dealt, s = negatives[order], context.logit_scale

    def score(outputs: Outputs) -> Tensor:
        classes = (outputs.logits / T).logsumexp(-1)  # (B,)
        if outputs.features.shape[1] != dealt.shape[1]:
            raise NotApplicableError("its features are not in the space of the text features.")
        w = dealt.to(outputs.features)
        rows = max(1, BLOCK // len(w))
        parts = (s / T * part @ w.T for part in torch.split(outputs.features, rows))
        competing = [part.reshape(len(part), groups, -1).logsumexp(2) for part in parts]  # (rows, G) each
        return (classes[:, None] - torch.cat(competing)).sigmoid().mean(1)

    return score


def _read(path: Path) -> dict[str, str]:
    """The file's words, each once, by what they are compared by."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the word list {path}: {error}.", "One word a line, UTF-8.") from error
    words: dict[str, str] = {}
    for line in lines:
        if line.strip():
            words.setdefault(comparable(line), line.strip())
    return words


def _mined(context: Context, path: Path, share: float, eta: float) -> Tensor:
    """(M, D) unit features of the words that are farthest from the classes, farthest first."""
    import torch

    words, taken = _read(path), {comparable(name) for name in context.classnames}
    others = [i for i, word in enumerate(words) if word not in taken]
    if not others:
        raise DataError(f"the word list {path} has no word that is not a class.", "One word a line, UTF-8.")
    every, w = _text(context, list(words.values())), _text(context, context.classnames)  # all words: one cache entry
    n = every[others]
    nearest = [torch.quantile(part @ w.T, 1 - eta, dim=1) for part in torch.split(n, max(1, BLOCK // len(w)))]
    return n[torch.cat(nearest).argsort(stable=True)[: int(len(n) * share)]]


def _text(context: Context, names: Sequence[str]) -> Tensor:
    """(P, D) unit text features, as classes have them."""
    from croftbench.prompting import class_text  # torch
    from croftbench.training import unit

    return unit(class_text(context.encode_text, names, context.templates))
