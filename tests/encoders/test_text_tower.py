"""The prompt path against open_clip's own padded forward pass, in values and gradients."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from croftbench import encoders
from croftbench.encoders import text_tower
from croftbench.encoders.text_tower import PromptTower
from croftbench.errors import CroftbenchError, UsageError

TEXTS = ["dog.", "a spotted salamander.", "cat.", "hook and loop fastener tape.", "dog cat.", "x."]
CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3},
}


def build(kind: str = "clip", **text: object) -> Any:
    """A tiny random CLIP in float64, with biases and gains that are not their neutral initial values."""
    torch.manual_seed(0)
    config = copy.deepcopy(CLIP_CONFIG)
    config["text_cfg"] |= text
    model = (open_clip.CLIP if kind == "clip" else open_clip.CustomTextCLIP)(**config, quick_gelu=kind == "clip")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.double().eval().requires_grad_(False)


def plain(model: Any, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
    """open_clip's steps over prompts that are padded to the whole context; (S, W), (C, L, W) -> (C, D)."""
    text = getattr(model, "text", model)
    context = len(text.positional_embedding)
    prompt = torch.cat([shared.expand(len(rest), -1, -1), rest], 1)[:, :context]
    padding = text.token_embedding(torch.zeros(len(rest), context - prompt.shape[1], dtype=torch.long))
    x = torch.cat([prompt, padding], 1) + text.positional_embedding
    x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask))[torch.arange(len(rest)), len(shared) + end]
    projection = text.text_projection
    return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection


def with_gradients(f: Callable[..., Tensor], shared: Tensor, rest: Tensor, end: Tensor) -> tuple[Tensor, ...]:
    """Features, and the gradients of a fixed combination of them."""
    shared, rest = shared.clone().requires_grad_(), rest.clone().requires_grad_()
    out = f(shared, rest, end)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return out.detach(), *torch.autograd.grad((out * weight).sum(), [shared, rest])


def assert_same(fast: tuple[Tensor, ...], slow: tuple[Tensor, ...], tolerance: float = 1e-12) -> None:
    for a, b in zip(fast, slow, strict=True):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= tolerance * (1 + b.abs().max())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("clip", {}),
        ("clip", {"ls_init_value": 0.5}),
        ("custom", {"proj_bias": True}),
        ("custom", {"pool_type": "eos", "eos_id": 49407}),
    ],
)
@pytest.mark.parametrize("n_ctx", [0, 4])
def test_equals_the_padded_path(kind: str, text: dict[str, object], n_ctx: int) -> None:
    model = build(kind, **text)
    tower = PromptTower(model, open_clip.SimpleTokenizer(context_length=24))
    rest, end = tower.tokens(TEXTS)
    assert len(set(end.tolist())) > 3
    shared = torch.cat([tower.start(), torch.randn(n_ctx, 32, dtype=torch.float64)])
    fast = with_gradients(tower.encode, shared, rest, end)
    slow = with_gradients(lambda *prompt: plain(model, *prompt), shared, rest, end)
    assert_same(fast, slow)


def test_equals_encode_text_on_real_words() -> None:
    for kind in ("clip", "custom"):
        model = build(kind)
        tokenizer = open_clip.SimpleTokenizer(context_length=24)
        tower = PromptTower(model, tokenizer)
        assert_same(
            (tower.encode(tower.start(), *tower.tokens(TEXTS)),),
            (model.encode_text(tokenizer(TEXTS)),),
        )


def test_the_embedded_layout(embedded: Path) -> None:
    encoder = encoders.load(encoders.EMBEDDED)
    tower = encoder.text_tower()
    rest, end = tower.tokens(TEXTS)
    assert end[0] == 2  # "dog" and "." are one token each in the folder's own vocabulary
    shared = torch.cat([tower.start(), torch.randn(4, tower.width)])
    fast = with_gradients(tower.encode, shared, rest, end)
    slow = with_gradients(lambda *prompt: plain(encoder.model, *prompt), shared, rest, end)
    assert_same(fast, slow, 1e-5)


@pytest.mark.parametrize(("budget", "kept"), [(4096, 2**30), (60, 2**30), (60, 0)])
def test_several_beginnings(budget: int, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each beginning with every rest; at once, in chunks, and in chunks that are computed again for the gradients."""
    monkeypatch.setattr(text_tower, "TOKENS", budget)
    monkeypatch.setattr(text_tower, "KEPT", kept)
    model = build()
    tower = PromptTower(model, open_clip.SimpleTokenizer(context_length=24))
    rest, end = tower.tokens(TEXTS)
    shared = torch.randn(5, 4, 32, dtype=torch.float64)
    fast = with_gradients(tower.encode, shared, rest, end)
    assert fast[0].shape == (5, len(TEXTS), 16)
    slow = with_gradients(
        lambda several, *prompt: torch.stack([plain(model, one, *prompt) for one in several]), shared, rest, end
    )
    assert_same(fast, slow)
    with torch.no_grad():
        assert_same((tower.encode(shared, rest, end),), fast[:1])


def test_second_derivatives_pass() -> None:
    model = build()
    tower = PromptTower(model, open_clip.SimpleTokenizer(context_length=24))
    rest, end = tower.tokens(TEXTS)
    shared = torch.randn(4, 32, dtype=torch.float64, requires_grad=True)
    seconds = []
    with sdpa_kernel(SDPBackend.MATH):  # for open_clip's own pass: fused attention has none
        slow = plain(model, shared, rest, end)
    for features in (tower.encode(shared, rest, end), slow):
        (first,) = torch.autograd.grad(features.square().sum(), shared, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), shared))
    assert_same(seconds[0], seconds[1])


def test_what_follows_the_end_token_is_never_read() -> None:
    tower = PromptTower(build(), open_clip.SimpleTokenizer(context_length=24))
    rest, end = tower.tokens(TEXTS)
    noise = torch.where(torch.arange(rest.shape[1])[:, None] > end[:, None, None], float("nan"), rest)
    assert torch.equal(tower.encode(tower.start(), noise, end), tower.encode(tower.start(), rest, end))


def test_a_prompt_that_does_not_fit_says_so() -> None:
    tower = PromptTower(build(), open_clip.SimpleTokenizer(context_length=24))
    rest, end = tower.tokens(TEXTS)
    with pytest.raises(UsageError, match=r"has \d+ tokens, but the text tower reads 24.*--set n_ctx"):
        tower.encode(torch.zeros(20, 32, dtype=torch.float64), rest, end)


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("clip", {"no_causal_mask": True}, "not causal"),
        ("custom", {"embed_cls": True}, "class token"),
        ("clip", {"pool_type": "last"}, "'?last'? position"),
        ("custom", {"qk_norm": True}, "attention blocks"),
    ],
)
def test_other_towers_are_refused_in_one_line(kind: str, text: dict[str, object], reason: str) -> None:
    with pytest.raises(CroftbenchError, match=reason) as refusal:
        PromptTower(build(kind, **text), open_clip.SimpleTokenizer(context_length=24), "some/encoder")
    assert "\n" not in str(refusal.value)
    assert "some/encoder" in str(refusal.value)
