"""Speed of the prompt path against the padded one: ViT-B/16's text tower, 100 ImageNet classes, 16 context tokens.

    pytest benchmarks/test_prompts.py --benchmark-columns=min,median --benchmark-sort=name

Each row is one forward and backward pass; the relative figure in brackets is the ratio.
"""

from collections.abc import Callable
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

from croftbench.encoders.text_tower import PromptTower

CLASSES, CONTEXT = 100, 16


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-16", pretrained=None).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tower(model: Any) -> PromptTower:
    return PromptTower(model, open_clip.get_tokenizer("ViT-B-16"))


def padded(model: Any, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
    """open_clip's forward pass over all 77 positions of every class."""
    padding = model.token_embedding.weight[0].expand(len(rest), 77 - len(shared) - rest.shape[1], -1)
    x = torch.cat([shared.expand(len(rest), -1, -1), rest, padding], 1) + model.positional_embedding
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
    features: Tensor = x[torch.arange(len(rest)), len(shared) + end] @ model.text_projection
    return features


def step(encode: Callable[..., Tensor], tower: PromptTower) -> Callable[[], tuple[Tensor, Tensor]]:
    """One forward and backward pass, returning the features and the context's gradient."""
    rest, end = tower.tokens([f"{name}." for name in open_clip.IMAGENET_CLASSNAMES[: 10 * CLASSES : 10]])
    rng = torch.Generator().manual_seed(0)
    start = 0.02 * torch.randn(CONTEXT, tower.width, generator=rng)
    weight = torch.randn(CLASSES, 512, generator=rng)

    def once() -> tuple[Tensor, Tensor]:
        context = start.clone().requires_grad_()
        features = encode(torch.cat([tower.start(), context]), rest, end)
        (features * weight).sum().backward()
        assert context.grad is not None
        return features.detach(), context.grad

    return once


@pytest.mark.benchmark(group="prompts, forward and backward")
@pytest.mark.parametrize("path", ["prompt path", "padded path"])
def test_prompts(path: str, model: Any, tower: PromptTower, benchmark: Any) -> None:
    fast = step(tower.encode, tower)
    slow = step(lambda *prompt: padded(model, *prompt), tower)
    rounds = 5 if path == "prompt path" else 2
    features, gradient = benchmark.pedantic(fast if path == "prompt path" else slow, rounds=rounds, warmup_rounds=1)
    if path == "padded path":
        same, same_gradient = fast()
        assert (features - same).norm() <= 3e-6 * features.norm()
        assert (gradient - same_gradient).norm() <= 3e-6 * gradient.norm()
