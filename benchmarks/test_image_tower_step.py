"""A training step of each method with an image tower against its floor: ViT-B/16, four images, forty classes.

    pytest benchmarks/test_image_tower_step.py --benchmark-columns=min,median --benchmark-sort=name

The floor is what no such step can go below: open_clip's own towers, forward and backward, once over the same images and
the same prompts, padded to the longest. Read a method's cost as its ratio to it in one run; the relative figure in
brackets is the ratio to the fastest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import open_clip
import pytest
import torch

from croftbench.encoders import unprojected
from croftbench.encoders.image_tower import PixelTower
from croftbench.encoders.text_tower import PromptTower
from croftbench.method import Examples, Task, Towers
from croftbench.methods.clip_lora import CLIPLoRA
from croftbench.methods.maple import MaPLe
from croftbench.methods.prolip import ProLIP
from croftbench.methods.prompt_src import PromptSRC
from croftbench.methods.tcp import TCP
from croftbench.training import Recipe

IMAGES, CLASSES = 4, 40
ONE = Recipe(epochs=1, batch=IMAGES, lr=1e-5)
METHODS = {
    "clip-lora": CLIPLoRA(steps=0, recipe=ONE), "maple": MaPLe(recipe=ONE), "prompt-src": PromptSRC(recipe=ONE),
    "tcp": TCP(recipe=ONE), "prolip": ProLIP(recipe=ONE),
}  # fmt: skip
NAMES = tuple(open_clip.IMAGENET_CLASSNAMES[: 10 * CLASSES : 10])


def vit() -> Any:
    """A ViT-B/16 with random weights, frozen."""
    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-16", pretrained=None).eval().requires_grad_(False)


def images() -> torch.Tensor:
    """(4, 3, 224, 224) pixels."""
    return torch.randn(IMAGES, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def tower_task(model: Any, pixels: torch.Tensor) -> Task:
    """Four training images of forty classes, with both towers."""
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    with torch.no_grad():
        text = model.encode_text(tokenizer([f"a photo of a {name}." for name in NAMES]))
        views = model.encode_image(pixels)[None]
    train = Examples(views, torch.arange(IMAGES), torch.zeros(IMAGES).long(), lambda view, rows: pixels[rows])
    towers = Towers(PromptTower(model, tokenizer), PixelTower(model), unprojected.projection(model))
    return Task(NAMES, train, None, text, 100.0, 1, towers, templates=("a photo of a {}.",))


model = pytest.fixture(scope="module")(vit)
pixels = pytest.fixture(scope="module")(images)
task = pytest.fixture(scope="module")(tower_task)


def floor(model: Any, pixels: torch.Tensor, image: bool, text: bool) -> Callable[[], None]:
    """Forward and backward of open_clip's own towers; gradients go to what enters their first block."""
    ids = open_clip.get_tokenizer("ViT-B-16")([f"a photo of a {name}." for name in NAMES])
    length = int((ids != 0).sum(1).max())

    def once() -> None:
        total = torch.zeros(())
        if image:
            x = model.visual._embeds(pixels).requires_grad_()
            total = total + (model.visual._pool(model.visual.transformer(x))[0] @ model.visual.proj).square().sum()
        if text:
            x = (model.token_embedding(ids) + model.positional_embedding)[:, :length].requires_grad_()
            x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
            total = total + (model.ln_final(x[:, -1]) @ model.text_projection).square().sum()
        total.backward()

    return once


@pytest.mark.benchmark(group="a step, both towers")
@pytest.mark.parametrize("name", ["floor", "clip-lora", "maple", "prompt-src"])
def test_both_towers(name: str, model: Any, task: Task, pixels: torch.Tensor, benchmark: Any) -> None:
    step = floor(model, pixels, True, True) if name == "floor" else fitting(METHODS[name], task)
    benchmark.pedantic(step, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="a step, text tower")
@pytest.mark.parametrize("name", ["floor", "tcp"])
def test_text_tower(name: str, model: Any, task: Task, pixels: torch.Tensor, benchmark: Any) -> None:
    features = replace(task, train=replace(task.train, read=None))
    step = floor(model, pixels, False, True) if name == "floor" else fitting(METHODS[name], features)
    benchmark.pedantic(step, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="a step, projection alone")
@pytest.mark.parametrize("name", ["floor", "prolip"])
def test_projection(name: str, model: Any, task: Task, pixels: torch.Tensor, benchmark: Any) -> None:
    with torch.no_grad():
        before = unprojected.encode(model, pixels)
    P = model.visual.proj.detach().clone().requires_grad_()

    def alone() -> None:
        (before @ P).square().sum().backward()

    given = replace(task, train=replace(task.train, views=before[None], read=None))
    benchmark.pedantic(alone if name == "floor" else fitting(METHODS[name], given), rounds=20, warmup_rounds=2)


def fitting(method: Any, task: Task) -> Callable[[], Any]:
    """One step of training, and what a predictor prepares: the class features, without a gradient."""
    return lambda: method.fit(task)
