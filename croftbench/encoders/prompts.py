"""The prompt path: class prompts through a causal text tower, paying neither for padding nor twice for their beginning.

In a causal tower what follows the end token cannot reach it, so the padding is never computed; and the tokens that all
prompts share have the same keys and values in each of them, so they are computed once. Same result, to rounding, as
the tower's own forward pass over the padded prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from croftbench.errors import CroftbenchError, UsageError

__all__ = ["PromptTower", "refusal"]

TOKENS = 4096
"""Tokens of B different beginnings that are in flight at once; more are computed in chunks."""


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
    """How prompts are packed: the S shared tokens, then the rests, sorted by length and without padding.

    Attributes:
        source: (T,) row of each packed token in `rest.reshape(C * L, W)`.
        position: (S + T,) position of each packed token in its prompt.
        runs: the shared tokens, then one run a length.
        ends: (C,) packed row of each class's end token, in class order.
    """

    source: Tensor
    position: Tensor
    runs: tuple[_Run, ...]
    ends: Tensor


class PromptTower:
    """An open_clip causal text tower as `croftbench.method.TextTower`.

    Attributes:
        width: W, the size of a token embedding.

    Raises:
        CroftbenchError: the tower is not one that the prompt path computes (see `refusal`).
    """

    width: int

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
        self.width = int(text.token_embedding.embedding_dim)

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token embeddings of each text, without its start token: (C, L, W), and the end positions (C,)."""
        ids = self._tokenizer(list(texts))
        last = ids.argmax(1) if self._pool == "argmax" else (ids == self._eos_id).int().argmax(1)
        end = last - 1
        return self._embed(ids[:, 1 : int(last.max()) + 1]), end.to(self._device)

    def start(self) -> Tensor:
        """(1, W) embedding of the start token."""
        return self._embed(self._tokenizer([""])[0, :1])

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        """Text features of the prompts `[shared, rest[c]]`, read at each end token.

        Args:
            shared: (S, W) token embeddings that all prompts begin with, S >= 1; or (B, S, W), B beginnings.
            rest: (C, L, W) what follows, one row a class; what is behind its end token is never read.
            end: (C,) position of the end token in `rest`.

        Returns:
            (C, D) raw text features, or (B, C, D).

        Raises:
            UsageError: the longest prompt does not fit the tower's context.
        """
        beginnings = shared if shared.ndim == 3 else shared[None]
        layout = self._layout(beginnings.shape[1], rest.shape[1], end)
        size = max(1, TOKENS // len(layout.position))
        chunks = torch.split(beginnings, size)
        if len(chunks) > 1 and torch.is_grad_enabled():
            # One chunk's activations at a time: the backward pass recomputes them.
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
        if shared + max(lengths) > context:
            raise UsageError(
                f"the longest prompt has {shared + max(lengths)} tokens, but the text tower reads {context}.",
                "Learn fewer context tokens (--set n_ctx=) or shorten the class names.",
            )
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        runs, ends = [_Run(0, 1, shared)], [0] * len(lengths)
        for c in order:
            last = runs[-1]
            if len(runs) > 1 and last.length == lengths[c]:
                runs[-1] = _Run(last.start, last.count + 1, last.length)
            else:
                runs.append(_Run(last.stop, 1, lengths[c]))
            ends[c] = runs[-1].stop - 1
        source = [c * longest + i for c in order for i in range(lengths[c])]
        position = [*range(shared), *(shared + i for c in order for i in range(lengths[c]))]
        source_at, position_at, ends_at = (torch.tensor(x, device=end.device) for x in (source, position, ends))
        return _Layout(source_at, position_at, tuple(runs), ends_at)

    def _forward(self, shared: Tensor, rest: Tensor, layout: _Layout) -> Tensor:
        """(B, S, W) beginnings and (C, L, W) rests -> (B, C, D)."""
        own = rest.flatten(0, 1)[layout.source].expand(len(shared), -1, -1)
        x = torch.cat([shared, own], 1) + self._text.positional_embedding[layout.position]  # (B, S + T, W)
        for i, block in enumerate(self._blocks):
            mixed = _attend(block.attn, block.ln_1(x), layout)
            if i == len(self._blocks) - 1:  # only end tokens are read
                x, mixed = x[:, layout.ends], mixed[:, layout.ends]
            x = x + block.ls_1(block.attn.out_proj(mixed))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        features: Tensor = self._text.ln_final(x)  # (B, C, W)
        projection = self._text.text_projection
        if isinstance(projection, torch.nn.Linear):
            features = projection(features)
        elif projection is not None:
            features = features @ projection
        return features


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


def _attend(attention: torch.nn.MultiheadAttention, x: Tensor, layout: _Layout) -> Tensor:
    """Causal attention of every packed token to the shared tokens and to its own text, before the output projection.

    (B, S + T, W) -> (B, S + T, W).
    """
    batch, tokens, width = x.shape
    qkv = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = qkv.view(batch, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, S + T, W / H)
    q = q * q.shape[-1] ** -0.5
    first, *others = layout.runs
    shared_k, shared_v = k[:, :, : first.stop], v[:, :, : first.stop]
    out = [_causal(q, k, first) @ shared_v]
    for run in others:
        here = slice(run.start, run.stop)
        shape = (batch, attention.num_heads, run.count, run.length, -1)
        q_run = q[:, :, here]
        to_shared = q_run @ shared_k.mT  # (B, H, count * length, S)
        to_own = _masked(q_run.view(shape) @ k[:, :, here].view(shape).mT)  # (B, H, count, length, length)
        weights = torch.cat([to_shared, to_own.reshape(batch, attention.num_heads, -1, run.length)], -1).softmax(-1)
        of_shared, of_own = weights[..., : first.stop], weights[..., first.stop :]
        own = of_own.reshape(shape) @ v[:, :, here].view(shape)
        out.append(of_shared @ shared_v + own.flatten(2, 3))
    return torch.cat(out, 2).transpose(1, 2).reshape(batch, tokens, width)


def _causal(q: Tensor, k: Tensor, run: _Run) -> Tensor:
    return _masked(q[:, :, run.start : run.stop] @ k[:, :, run.start : run.stop].mT).softmax(-1)


def _masked(scores: Tensor) -> Tensor:
    """Scores (..., n, n) with -inf where a key is later than its query."""
    n = scores.shape[-1]
    return scores.masked_fill(torch.ones(n, n, dtype=torch.bool, device=scores.device).triu(1), float("-inf"))
