"""Scores that ask whether an image looks more like words that no class is called."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
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

CSP_NOUN = (
    "a close-up photo of the nice {}", "a photo with the nice {}", "a good photo with the nice {}",
    "a photo of the nice {}", "{}", "the {}", "the good {}", "the nice {}",
)  # fmt: skip
CSP_ADJECTIVE = ("{}", "a nice photo of {}", "a good photo of {}", "a close-up photo of {}")
"""The authors' prompts: `preset_noun_prompt_templates` and `preset_adj_prompt_templates` in
MengyuanChen21/NeurIPS2024-CSP."""
CSP_SUPERCLASS = tuple(
    f"{{}} {kind}"
    for kind in (
        "environment", "space", "object", "scene", "place", "item", "area", "view", "thing", "pattern", "structure",
        "landscape", "vista", "creature",
    )
)  # fmt: skip
"""`csp_templates` there."""
CSP_SAME = 0.95
"""The cosine with a class above which a word comes last."""


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
    return _competing(context, mined(context, words, share, eta), groups, T, words)


def csp(
    context: Context,
    words: str = "wordnet",
    share: float = 0.15,
    eta: float = 0.05,
    groups: int = 100,
    T: float = 1.0,
) -> Scorer:
    """CSP: NegLabel whose adjectives each name a kind of thing ("white creature"), with prompts in ensembles.

    Conjugated Semantic Pool Improves OOD Detection with Pre-trained Vision-Language Models, NeurIPS 2024, arXiv
    2410.08611.

    The score is NegLabel's, and so is the choice of words, but for what they are prompted as: a noun and a class by the
    mean of eight prompts (`CSP_NOUN`), an adjective by the mean of four (`CSP_ADJECTIVE`) of itself and one of fourteen
    superclasses (`CSP_SUPERCLASS`), drawn once. Words whose cosine with a class is above 0.95 come last.

    The authors leave WordNet's persons, quantities, groups and pertainyms out; the corpus that ships is NegLabel's,
    which has them, for nouns are not told apart in it.
    """
    return _competing(context, _conjugated(context, words, share, eta), groups, T, words)


def _competing(context: Context, negatives: Tensor, groups: int, T: float, words: str) -> Scorer:
    """The score of `neglabel`, of (M, D) negatives."""
    import torch

    order = dealt(negatives, groups, words)
    chosen, s, even = negatives[order], context.logit_scale, torch.ones(groups)

    def score(outputs: Outputs) -> Tensor:
        check_space(outputs, chosen)
        classes = (wide(outputs.logits) / T).logsumexp(-1)  # (B,)
        w = chosen.to(outputs.features)
        rows = max(1, BLOCK // len(w))
        parts = (s / T * part @ w.T for part in torch.split(outputs.features, rows))
        competing = [part.reshape(len(part), groups, -1).logsumexp(2) for part in parts]  # (rows, G) each
        odds = classes[:, None] - wide(torch.cat(competing))
        return mean_odds(odds, even.to(odds)).to(outputs.logits)

    return score


def dealt(negatives: Tensor, groups: int, words: str) -> Tensor:
    """Which of (M, D) negatives are in groups, one group after another of equal sizes: (at most M,) positions.

    Raises:
        UsageError: there are fewer than groups.
    """
    import torch

    if len(negatives) < groups:
        raise UsageError(
            f"{words}: {len(negatives)} words are mined, fewer than groups={groups}.",
            "Give more words, a larger share, or fewer groups.",
        )
    shared = len(negatives) // groups * groups
    return torch.randperm(shared, generator=torch.Generator().manual_seed(0)).to(negatives.device)


def check_space(outputs: Outputs, texts: Tensor) -> None:
    """Check that a method's features can be compared with those of texts.

    Raises:
        NotApplicableError: they are of another space.
    """
    if outputs.features.shape[1] != texts.shape[1]:
        raise NotApplicableError("its features are not in the space of the text features.")


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


def mined(context: Context, words: str, share: float, eta: float) -> Tensor:
    """(M, D) unit features of the words that are farthest from the classes: nouns, then adjectives, farthest first."""
    import torch

    w = _text(context, NOUN, context.classnames)  # (C, D)
    found = []
    for n in every_word(context, words):
        nearest = _nearest(n, w, lambda cosines: torch.quantile(cosines, 1 - eta, dim=1))
        found.append(n[nearest.argsort(stable=True)[: int(len(n) * share)]])
    return torch.cat(found)


def every_word(context: Context, words: str) -> Iterator[Tensor]:
    """(N, D) unit features of all nouns that are no class, then of all adjectives, in the prompts of `neglabel`."""
    for (listed, others), prompt in zip(_listed(context, words), (NOUN, ADJECTIVE), strict=False):
        yield _text(context, prompt, listed)[others]  # the whole list: one cache entry for all suites


def _conjugated(context: Context, words: str, share: float, eta: float) -> Tensor:
    """(M, D) unit features of CSP's negatives, in the order of `mined`."""
    import torch

    w = _ensemble(context, CSP_NOUN, context.classnames)

    def similar(cosines: Tensor) -> Tensor:
        return torch.quantile(cosines, 1 - eta, dim=1).masked_fill(cosines.amax(1) > CSP_SAME, 1.0)

    draw, found = random.Random(0), []
    for (listed, others), prompts in zip(_listed(context, words), (CSP_NOUN, CSP_ADJECTIVE), strict=False):
        if prompts is CSP_ADJECTIVE:
            listed = [draw.choice(CSP_SUPERCLASS).format(word) for word in listed]
        n = _ensemble(context, prompts, listed)[others]
        found.append(n[_nearest(n, w, similar).argsort(stable=True)[: int(len(n) * share)]])
    return torch.cat(found)


def _listed(context: Context, words: str) -> Iterator[tuple[list[str], list[int]]]:
    """The words of each file, and the positions of those that are neither a class nor in the file before.

    Raises:
        DataError: there are none.
    """
    taken = {comparable(name) for name in context.classnames}
    for path in word_files(words):
        listed = _read(path)
        others = [i for i, word in enumerate(listed) if word not in taken]
        if not others:
            raise DataError(f"the word list {path} has no word that is not a class.", "One word a line, UTF-8.")
        yield list(listed.values()), others
        taken |= listed.keys()


def _nearest(n: Tensor, w: Tensor, similar: Callable[[Tensor], Tensor]) -> Tensor:
    """(N,) how near words are to the classes, by a function of their cosines."""
    import torch

    return torch.cat([similar(part @ w.T) for part in torch.split(n, max(1, BLOCK // len(w)))])


def _text(context: Context, prompt: str, names: Sequence[str]) -> Tensor:
    """(P, D) unit text features of names in a prompt."""
    return _ensemble(context, (prompt,), names)


def _ensemble(context: Context, prompts: Sequence[str], names: Sequence[str]) -> Tensor:
    """(P, D) unit means of the raw text features of names in several prompts."""
    from croftbench.training import unit

    spoken = [as_words(name) for name in names]
    total = context.encode_text([prompts[0].format(name) for name in spoken])
    for prompt in prompts[1:]:  # one at a time: a mean needs them once
        total = total + context.encode_text([prompt.format(name) for name in spoken])
    return unit(total)
