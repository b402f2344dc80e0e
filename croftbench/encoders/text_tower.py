"""The prompt path: class prompts through a causal text tower, paying neither for padding nor twice for their beginning.

In a causal tower what follows the end token cannot reach it, so the padding is never computed; and the tokens that all
prompts share have the same keys and values in each of them, so they are computed once. With B different beginnings, a
beginning is computed once for all classes, and what follows it enters the first block once for all beginnings. Same
result, to rounding, as the tower's own forward pass over the padded prompts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from croftbench.encoders.blocks import half_on_cuda, through
from croftbench.errors import CroftbenchError, UsageError
from croftbench.method import Inside

__all__ = ["PromptTower", "refusal"]

TOKENS = 4096
"""Tokens of B different beginnings that are computed at once; more are computed in chunks."""

KEPT = 2**31
"""Bytes of activations that B different beginnings may keep for the backward pass; beyond, it computes each chunk
again."""


@dataclass(frozen=True)
class _Run:
    """Consecutive rows of the packed sequence that hold `count` texts of `length` tokens."""

    start: int
    count: int
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.count * self.length


@dataclass(frozen=True)
class _Layout:
    """How what follows the shared tokens is packed: T tokens, sorted by length of their text and without padding.

    Attributes:
        source: (T,) row of each packed token in `rest.reshape(C * L, W)`.
        position: (T,) position of each packed token in its prompt.
        runs: one run a length.
        ends: (C,) packed row of each text's end token, in packed order.
        order: (C,) where each class stands in the packed order.
    """

    source: Tensor
    position: Tensor
    runs: tuple[_Run, ...]
    ends: Tensor
    order: Tensor


class PromptTower:
    """An open_clip causal text tower as `croftbench.method.TextTower`.

    Attributes:
        width: W, the size of a token embedding.
        blocks: how many blocks it has.

    Raises:
        CroftbenchError: the tower is not one that the prompt path computes (see `refusal`).
    """

    width: int
    blocks: int

    def __init__(self, model: Any, tokenizer: Callable[[list[str]], Tensor], encoder_id: str = "this encoder") -> None:
        """Wrap the text tower of a frozen open_clip model; nothing is copied."""
        reason = refusal(model)
        if reason:
            raise CroftbenchError(
                f"prompts cannot be learned through {encoder_id}: {reason}.", "Use an encoder with CLIP's text tower."
            )
        self._text = text = getattr(model, "text", model)
        self._blocks = list(text.transformer.resblocks)
        self._pool = _pool_type(model)
        self._eos_id = int(getattr(model, "text_eos_id", getattr(text, "eos_id", 0)))
        self._tokenizer = tokenizer
        self.width, self.blocks = int(text.token_embedding.embedding_dim), len(self._blocks)

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token embeddings of each text, without its start token: (C, L, W), and the end positions (C,)."""
        ids = self._tokenizer(list(texts))
        last = ids.argmax(1) if self._pool == "argmax" else (ids == self._eos_id).int().argmax(1)
        end = last - 1
        return self._embed(ids[:, 1 : int(last.max()) + 1]), end.to(self._device)

    def start(self) -> Tensor:
        """(1, W) embedding of the start token."""
        return self._embed(self._tokenizer([""])[0, :1])

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor, inside: Inside | None = None) -> Tensor:
        """Text features of the prompts `[shared, rest[c]]`, read at each end token.

        Args:
            shared: (S, W) token embeddings that all prompts begin with, S >= 1; or (B, S, W), B beginnings.
            rest: (C, L, W) what follows, one row a class; what is behind its end token is never read.
            end: (C,) position of the end token in `rest`.
            inside: what happens in the blocks, to whole prompts; they then pay for what they share and for padding to
                the longest. With one beginning only.

        Returns:
            (C, D) raw text features, or (B, C, D).

        Raises:
            UsageError: the longest prompt does not fit the tower's context.
        """
        if inside is not None:
            return self._whole(shared, rest, end, inside)
        beginnings = shared if shared.ndim == 3 else shared[None]
        layout = self._layout(beginnings.shape[1], rest.shape[1], end)
        tokens = beginnings.shape[1] + len(layout.position)
        chunks = torch.split(beginnings, max(1, TOKENS // tokens))
        # About 15 floats a token, layer and unit of width, as measured with either kind of GELU.
        kept = 15 * tokens * len(beginnings) * len(self._blocks) * self.width * shared.element_size()
        if len(chunks) > 1 and kept > KEPT and torch.is_grad_enabled():
            features = [checkpoint(self._forward, chunk, rest, layout, use_reentrant=False) for chunk in chunks]
        else:
            features = [self._forward(chunk, rest, layout) for chunk in chunks]
        out = torch.cat(features)
        return out if shared.ndim == 3 else out[0]

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._text.token_embedding.weight.device
        return device

    def _embed(self, ids: Tensor) -> Tensor:
        with torch.no_grad():
            embeddings: Tensor = self._text.token_embedding(ids.to(self._device))
        return embeddings

    def _layout(self, shared: int, longest: int, end: Tensor) -> _Layout:
        """Pack prompts of `shared` + end[c] + 1 tokens."""
        lengths = [int(e) + 1 for e in end.tolist()]
        context = len(self._text.positional_embedding)
        _check_fits(shared + max(lengths), context)
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        runs: list[_Run] = []
        for length, texts in itertools.groupby(lengths[c] for c in order):
            runs.append(_Run(runs[-1].stop if runs else 0, len(list(texts)), length))
        source = [c * longest + i for c in order for i in range(lengths[c])]
        position = [shared + i for c in order for i in range(lengths[c])]
        ends = [run.start + (i + 1) * run.length - 1 for run in runs for i in range(run.count)]
        place = sorted(range(len(order)), key=order.__getitem__)
        tensors = (torch.tensor(x, device=end.device) for x in (source, position, ends, place))
        source_at, position_at, ends_at, order_at = tensors
        return _Layout(source_at, position_at, tuple(runs), ends_at, order_at)

    def _forward(self, shared: Tensor, rest: Tensor, layout: _Layout) -> Tensor:
        """(B, S, W) beginnings and (C, L, W) rests -> (B, C, D)."""
        place = self._text.positional_embedding
        first = shared + place[: shared.shape[1]]
        # (1, T, W): the same for all beginnings until the first block has mixed them in.
        own = (rest.flatten(0, 1)[layout.source] + place[layout.position])[None]
        for block in self._blocks[:-1]:
            first, own = _block(block, first, own, layout)
        _, ends = _block(self._blocks[-1], first, own, layout, last=True)
        return self._projected(self._text.ln_final(ends)[:, layout.order])

    def _whole(self, shared: Tensor, rest: Tensor, end: Tensor, inside: Inside) -> Tensor:
        """(S, W) and (C, L, W) -> (C, D), prompt by prompt."""
        length = len(shared) + int(end.max()) + 1
        _check_fits(length, len(self._text.positional_embedding))
        with half_on_cuda(rest.device):
            prompts = torch.cat([shared.expand(len(rest), -1, -1), rest], 1)[:, :length]
            x = through(self._blocks, prompts + self._text.positional_embedding[:length], inside, causal=True)
            ends = x[torch.arange(len(x), device=x.device), len(shared) + end]
            features = self._projected(self._text.ln_final(ends))
        return features.to(rest.dtype)

    def _projected(self, x: Tensor) -> Tensor:
        """(..., W) that leaves the tower -> (..., D)."""
        projection = self._text.text_projection
        if isinstance(projection, torch.nn.Linear):
            x = projection(x)
        elif projection is not None:
            x = x @ projection
        return x


def _check_fits(tokens: int, context: int) -> None:
    if tokens > context:
        raise UsageError(
            f"the longest prompt has {tokens} tokens, but the text tower reads {context}.",
            "Learn fewer context tokens (--set n_ctx=) or shorten the class names.",
        )


def refusal(model: Any) -> str:
    """Why the prompt path cannot compute an open_clip model's text tower; "" if it can."""
    text = getattr(model, "text", model)
    blocks = getattr(getattr(text, "transformer", None), "resblocks", None)
    if not blocks or not hasattr(text, "positional_embedding"):
        return "its text tower is not an open_clip transformer"
    if not all(type(block).__name__ == "ResidualAttentionBlock" for block in blocks):
        return "its text tower has modified attention blocks"
    if getattr(text, "attn_mask", None) is None:
        return "its text tower is not causal"
    if getattr(text, "cls_emb", None) is not None:
        return "its text tower appends a class token"
    if _pool_type(model) not in ("argmax", "eos"):
        return f"its text tower is read at the {_pool_type(model)} position, not at the end token"
    return ""


def _pool_type(model: Any) -> str:
    return str(getattr(model, "text_pool_type", getattr(getattr(model, "text", model), "pool_type", "none")))


def _block(block: Any, first: Tensor, own: Tensor, layout: _Layout, last: bool = False) -> tuple[Tensor, Tensor]:
    """One residual block over the shared tokens (B, S, W) and the own ones (B or 1, T, W); both (B, ...) after it.

    Of the last block only the end tokens are read: own is then (B, C, W), in packed order, and first is left as it is.
    """
    attention = block.attn
    to_first, to_own = block.ln_1(first), block.ln_1(own)
    first_k, first_v = _keys_values(attention, to_first)
    own_k, own_v = _keys_values(attention, to_own)
    if last:
        own, to_own = own[:, layout.ends], to_own[:, layout.ends]
    else:
        # Spelt out, for the fused attention has no second derivative.
        mixed = _masked(_queries(attention, to_first) @ first_k.mT).softmax(-1) @ first_v
        first = _residual(block, first, mixed)
    q = _queries(attention, to_own)
    return first, _residual(block, own, _attend(q, first_k, first_v, own_k, own_v, layout.runs))


def _residual(block: Any, x: Tensor, mixed: Tensor) -> Tensor:
    """A block after its attention, whose output is `mixed` (B, H, n, W / H): (B, n, W)."""
    x = x + block.ls_1(block.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
    out: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return out


def _heads(attention: torch.nn.MultiheadAttention, x: Tensor, part: int) -> Tensor:
    """Queries (part 0), keys (1) or values (2) of x (B, n, W): (B, H, n, W / H)."""
    rows = slice(part * x.shape[-1], (part + 1) * x.shape[-1])
    y = F.linear(x, attention.in_proj_weight[rows], attention.in_proj_bias[rows])
    return y.view(*y.shape[:2], attention.num_heads, -1).transpose(1, 2)


def _queries(attention: torch.nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Scaled queries of x (B, n, W): (B, H, n, W / H)."""
    q = _heads(attention, x, 0)
    scale: float = q.shape[-1] ** -0.5
    return q * scale


def _keys_values(attention: torch.nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    return _heads(attention, x, 1), _heads(attention, x, 2)


def _attend(
    q: Tensor, first_k: Tensor, first_v: Tensor, own_k: Tensor, own_v: Tensor, runs: tuple[_Run, ...]
) -> Tensor:
    """What each query takes from the shared tokens and, causally, from its own text: (B, H, T or C, W / H).

    Queries (B or 1, H, T or C, W / H) are those of all packed tokens, or of the end tokens alone.
    """
    heads, queries, width = q.shape[1:]
    ends_only = queries < runs[-1].stop
    out, at = [], 0
    for run in runs:
        asked = 1 if ends_only else run.length  # queries a text
        own_q = q[:, :, at : at + run.count * asked]
        at += run.count * asked
        k, v = (x[:, :, run.start : run.stop].view(-1, heads, run.count, run.length, width) for x in (own_k, own_v))
        to_first = own_q @ first_k.mT  # (B, H, count * asked, S)
        to_own = own_q.view(-1, heads, run.count, asked, width) @ k.mT  # (B or 1, H, count, asked, length)
        if not ends_only:
            to_own = _masked(to_own)
        to_own = to_own.flatten(2, 3).expand(len(to_first), -1, -1, -1)
        weights = torch.cat([to_first, to_own], -1).softmax(-1)
        of_first, of_own = weights[..., : first_k.shape[2]], weights[..., first_k.shape[2] :]
        own = of_own.view(-1, heads, run.count, asked, run.length) @ v
        out.append(of_first @ first_v + own.flatten(2, 3))
    return torch.cat(out, 2)


def _masked(scores: Tensor) -> Tensor:
    """Scores (..., n, n) with -inf where a key is later than its query."""
    n = scores.shape[-1]
    return scores.masked_fill(torch.ones(n, n, dtype=torch.bool, device=scores.device).triu(1), float("-inf"))
