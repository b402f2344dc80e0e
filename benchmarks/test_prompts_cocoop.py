r"""CoCoOp's prompts, one set an image: a training step against the padded path, and the time of a test pass.

    pytest benchmarks/test_prompts_cocoop.py --benchmark-group-by=group,param:case \
        --benchmark-columns=min,median --benchmark-sort=name

A step is one forward and backward pass over 8 images x 260 classes with the embedded encoder's tower (32 positions),
or over 4 x 25 with ViT-B/16's (77); the relative figure in brackets is the ratio.
"""

from typing import Any, NamedTuple

import open_clip
import pytest
import torch
from torch import Tensor

from croftbench import draw, encoders
from croftbench.encoders.text_tower import PromptTower
from croftbench.methods.cocoop import CHUNK, Weights, class_logits
from croftbench.prompting import Prompts
from croftbench.suites import manifest
from croftbench.training import unit

CONTEXT = 16
TEST = 2 * CHUNK


class Case(NamedTuple):
    """A text tower, class names and how many images a step has."""

    model: Any
    tower: PromptTower
    names: tuple[str, ...]
    images: int

    def start(self) -> tuple[Weights, Tensor]:
        """Weights, and unit-norm image features."""
        rng = torch.Generator().manual_seed(0)
        dim = self.model.text_projection.shape[1]
        weights = Weights.initial(0.02 * torch.randn(CONTEXT, self.tower.width, generator=rng), dim, rng)
        return weights, unit(torch.randn(self.images, dim, generator=rng))


@pytest.fixture(scope="module", params=["emoji", "ViT-B/16"])
def case(request: pytest.FixtureRequest) -> Case:
    if request.param == "emoji":
        encoder = encoders.load(encoders.EMBEDDED)
        names = draw.folds(manifest.suite("emoji-open"), 1)[0].classnames
        return Case(encoder.model, PromptTower(encoder.model, encoder.tokenizer), names, 8)
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16", pretrained=None).eval().requires_grad_(False)
    names = tuple(open_clip.IMAGENET_CLASSNAMES[:1000:40])
    return Case(model, PromptTower(model, open_clip.get_tokenizer("ViT-B-16")), names, 4)


def padded(case: Case, weights: Weights, z: Tensor) -> Tensor:
    """The same logits by open_clip's forward pass over all positions of every image's every prompt."""
    prompts = Prompts(case.tower, case.names)
    start, rest, end = prompts.start, prompts.rest, prompts.end
    model, (v, A, a, B, b) = case.model, weights
    context = v + (torch.relu(z @ A.T + a) @ B.T + b)[:, None]
    padding = model.token_embedding.weight[0].expand(len(rest), len(model.positional_embedding), -1)
    logits = []
    for image, one in zip(z, context, strict=True):
        prompt = torch.cat([torch.cat([start, one]).expand(len(rest), -1, -1), rest, padding], 1)
        x = prompt[:, : len(model.positional_embedding)] + model.positional_embedding
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
        t = x[torch.arange(len(rest)), 1 + CONTEXT + end] @ model.text_projection
        logits.append(30 * unit(t) @ image)
    return torch.stack(logits)


@pytest.mark.benchmark(group="CoCoOp, forward and backward")
@pytest.mark.parametrize("path", ["prompt path", "padded path"])
def test_step(path: str, case: Case, benchmark: Any) -> None:
    weights, z = case.start()
    prompts = Prompts(case.tower, case.names)

    def step(fast: bool) -> tuple[Tensor, ...]:
        logits = class_logits(weights, z, prompts, 30.0) if fast else padded(case, weights, z)
        return logits.detach(), *torch.autograd.grad(logits.logsumexp(1).mean(), weights)

    rounds = 5 if path == "prompt path" else 2
    found = benchmark.pedantic(step, args=(path == "prompt path",), rounds=rounds, warmup_rounds=1)
    if path == "padded path":
        for one, other in zip(step(fast=True), found, strict=True):
            assert (one - other).norm() <= 1e-5 * other.norm()


@pytest.mark.benchmark(group=f"CoCoOp, test pass over {TEST} images")
def test_test_pass(case: Case, benchmark: Any) -> None:
    weights, z = case.start()
    z = z.repeat(TEST // len(z), 1)
    prompts = Prompts(case.tower, case.names)

    @torch.inference_mode()
    def predict() -> Tensor:
        chunks = [class_logits(weights, chunk, prompts, 30.0) for chunk in torch.split(z, CHUNK)]
        return torch.cat(chunks)

    logits = benchmark.pedantic(predict, rounds=3, warmup_rounds=1)
    assert logits.shape == (TEST, len(case.names))
