"""Scores that ask whether an image looks more like words that no class is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench import texts
from croftbench.classnames import as_words, comparable
from croftbench.errors import DataError, UsageError
from croftbench.scorers.context import Context, NotApplicableError, Scorer
from croftbench.scorers.odds import mean_odds, wide

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs

BLOCK = 2**24
"""Cosines held at once: 64 MiB of them."""

WORDNET = Path(__file__).parents[1] / "embedded" / "wordnet"
"""The words that ship: of WordNet 3.0, as NegLabel's authors chose them (`tools/wordnet/words.py`)."""

NOUN, ADJECTIVE = "the nice {}", "This is a {} photo"
"""The authors' prompts: `prompt_idx_pos = prompt_idx_neg = 85` and `adj` in XueJiang16/NegLabel."""


def neglabel(
    context: Context,
    words: str = "wordnet",
    share: float = 0.15,
    eta: float = 0.05,
    groups: int = 100,
    T: float = 1.0,
) -> Scorer:
    """NegLabel: the probability that is left to the classes when words far from all of them compete, as log-odds.

    Negative Label Guided OOD Detection with Pretrained Vision-Language Models, ICLR 2024, arXiv 2403.20078.

        q = 1/G sum_g  sum_c e^(logit_c / T) / ( sum_c e^(logit_c / T) + sum_{n in g} e^(s z n / T) )
        score = log q - log(1 - q)

        n   features of mined words, dealt at random into G = `groups` equal groups
        NegMining: the `share` of nouns, and that of adjectives, with the largest d(n) = the eta-quantile over classes
        c of -cos(n, c); farthest first, nouns before adjectives, the last ones dropped that the groups do not share

    `words` is "wordnet", the authors' corpus, which ships: 58,514 nouns and 12,280 adjectives of WordNet 3.0. Or a text
    file of nouns, one a line, or a folder with `nouns.txt` and `adjectives.txt`. Words that are the name of a class are
    left out, repeated ones count once. In mining, nouns and classes are prompted "the nice {}" and adjectives "This is
    a {} photo", as published. The score then takes the method's own logits for the classes, whose prompts are the
    suite's or learned; they already carry s (the authors' temperature of 0.01).
    """
    import torch

    negatives = _mined(context, words, share, eta)  # (M, D)
    if len(negatives) < groups:
        raise UsageError(
            f"{words}: {len(negatives)} words are mined, fewer than groups={groups}.",
            "Give more words, a larger share, or fewer groups.",
        )
    shared = len(negatives) // groups * groups
    order = torch.randperm(shared, generator=torch.Generator().manual_seed(0)).to(negatives.device)
    dealt, s, even = negatives[:shared][order], context.logit_scale, torch.ones(groups)

    def score(outputs: Outputs) -> Tensor:
        if outputs.features.shape[1] != dealt.shape[1]:
            raise NotApplicableError("its features are not in the space of the text features.")
        classes = (wide(outputs.logits) / T).logsumexp(-1)  # (B,)
        w = dealt.to(outputs.features)
        rows = max(1, BLOCK // len(w))
        parts = (s / T * part @ w.T for part in torch.split(outputs.features, rows))
        competing = [part.reshape(len(part), groups, -1).logsumexp(2) for part in parts]  # (rows, G) each
        odds = classes[:, None] - wide(torch.cat(competing))
        return mean_odds(odds, even.to(odds)).to(outputs.logits)

    return score


def word_files(words: str) -> tuple[Path, ...]:
    """The files that `words` names: nouns, then adjectives where there are any."""
    where = WORDNET if words == "wordnet" else Path(words)
    return (where / "nouns.txt", where / "adjectives.txt") if where.is_dir() else (where,)


def _read(path: Path) -> dict[str, str]:
    """The file's words, each once, by what they are compared by."""
    try:
        lines = texts.lines(path, f"the word list {path}")
    except texts.TextError as error:
        raise DataError(error.message, f"One word a line. {error.hint}") from error
    words: dict[str, str] = {}
    for _, line in lines:
        words.setdefault(comparable(line), line)
    return words


def _mined(context: Context, words: str, share: float, eta: float) -> Tensor:
    """(M, D) unit features of the words that are farthest from the classes: nouns, then adjectives, farthest first."""
    import torch

    w = _text(context, NOUN, context.classnames)  # (C, D)
    taken = {comparable(name) for name in context.classnames}
    found: list[Tensor] = []
    for path, prompt in zip(word_files(words), (NOUN, ADJECTIVE), strict=False):
        listed = _read(path)
        others = [i for i, word in enumerate(listed) if word not in taken]
        if not others:
            raise DataError(f"the word list {path} has no word that is not a class.", "One word a line, UTF-8.")
        n = _text(context, prompt, list(listed.values()))[others]  # the whole list: one cache entry for all suites
        nearest = [torch.quantile(part @ w.T, 1 - eta, dim=1) for part in torch.split(n, max(1, BLOCK // len(w)))]
        found.append(n[torch.cat(nearest).argsort(stable=True)[: int(len(n) * share)]])
        taken |= listed.keys()
    return torch.cat(found)


def _text(context: Context, prompt: str, names: Sequence[str]) -> Tensor:
    """(P, D) unit text features of names in a prompt."""
    from croftbench.training import unit

    return unit(context.encode_text([prompt.format(as_words(name)) for name in names]))
