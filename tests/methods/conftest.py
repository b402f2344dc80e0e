"""A small real text tower, and open_clip's own way to run it, for the methods that learn prompts."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

from croftbench.encoders.image_tower import PixelTower
from croftbench.encoders.text_tower import PromptTower
from croftbench.method import Examples, Task, Towers

NAMES = ("dog", "hot_dog", "hook and loop fastener (tape)")
WIDTH, DIM, CONTEXT = 32, 16, 24


@dataclass(frozen=True)
class Tiny:
    """A random CLIP in float64 whose text tower reads 24 tokens."""

    model: Any
    tokenizer: Any

    @property
    def tower(self) -> PromptTower:
        return PromptTower(self.model, self.tokenizer)

    def embed(self, text: str) -> Tensor:
        """(24, W) token embeddings of a text, start token and padding included."""
        found: Tensor = self.model.token_embedding(self.tokenizer([text]))[0]
        return found

    def tokens(self, text: str) -> int:
        """How many tokens a text has, without start and end."""
        return len(self.tokenizer.encode(text))

    def read(self, prompt: Tensor, end: int) -> Tensor:
        """(24, W) embeddings -> (D,) raw text feature at the end token, by open_clip's forward pass."""
        x = (prompt + self.model.positional_embedding)[None]
        x = self.model.ln_final(self.model.transformer(x, attn_mask=self.model.attn_mask))
        feature: Tensor = x[0, end] @ self.model.text_projection
        return feature

    def read_deep(self, prompt: Tensor, end: int, contexts: Sequence[Tensor]) -> Tensor:
        """As `read`, where block j = 1, 2, ... reads contexts[j] in the place of the tokens behind the start."""
        x = (prompt + self.model.positional_embedding)[None]
        for j, block in enumerate(self.model.transformer.resblocks):
            if 0 < j < len(contexts):
                x = torch.cat([x[:, :1], contexts[j][None], x[:, 1 + len(contexts[j]) :]], 1)
            x = block(x, attn_mask=self.model.attn_mask)
        feature: Tensor = self.model.ln_final(x)[0, end] @ self.model.text_projection
        return feature

    def see_deep(self, pixels: Tensor, contexts: Sequence[Tensor]) -> Tensor:
        """(B, D) raw image features, contexts[0] behind the patches, block j reading contexts[j] in its place."""
        visual = self.model.visual
        x = visual.conv1(pixels).flatten(2).mT
        x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], 1) + visual.positional_embedding
        patches = x.shape[1]
        x = visual.ln_pre(torch.cat([x, contexts[0].expand(len(x), -1, -1)], 1))
        for j, block in enumerate(visual.transformer.resblocks):
            if 0 < j < len(contexts):
                x = torch.cat([x[:, :patches], contexts[j].expand(len(x), -1, -1)], 1)
            x = block(x)
        feature: Tensor = visual.ln_post(x[:, 0]) @ visual.proj
        return feature


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    torch.manual_seed(0)
    text = {"context_length": CONTEXT, "vocab_size": 49408, "width": WIDTH, "heads": 4, "layers": 2}
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    model = open_clip.CLIP(embed_dim=DIM, vision_cfg=vision, text_cfg=text, quick_gelu=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    frozen = model.double().eval().requires_grad_(False)
    return Tiny(frozen, open_clip.SimpleTokenizer(context_length=CONTEXT))


@pytest.fixture
def tiny_task(tiny: Tiny) -> Callable[..., Task]:
    """`tiny_task(order=(0, 1, 2))`: twelve images of three classes; the hand-written prompt is "a photo of a {}."."""

    def make(order: tuple[int, ...] = (0, 1, 2)) -> Task:
        random = torch.Generator().manual_seed(5)
        centres = torch.randn(3, DIM, generator=random, dtype=torch.float64)
        labels = torch.arange(12) % 3
        views = centres[labels] + torch.randn(2, 12, DIM, generator=random, dtype=torch.float64)
        names = tuple(NAMES[c] for c in order)
        place = torch.tensor([order.index(c) for c in range(3)])
        with torch.no_grad():
            text = tiny.model.encode_text(tiny.tokenizer([f"a photo of a {n.replace('_', ' ')}." for n in names]))
        return Task(
            names, Examples(views, place[labels], torch.zeros(12).long()), None, text, 20.0, 1, Towers(tiny.tower)
        )

    return make


@pytest.fixture
def place_task(tiny: Tiny) -> Task:
    """Twelve images of three classes, four views each, and what a frozen encoder would make of three places in each."""
    random = torch.Generator().manual_seed(6)
    labels = torch.arange(12) % 3
    centres = torch.randn(3, DIM, generator=random, dtype=torch.float64)
    seen = centres[labels][:, None] + torch.randn(4, 12, 1 + 3, DIM, generator=random, dtype=torch.float64)
    with torch.no_grad():
        text = tiny.model.encode_text(tiny.tokenizer([f"a photo of a {n.replace('_', ' ')}." for n in NAMES]))
    train = Examples(seen[:, :, 0], labels, torch.zeros(12).long(), lambda view, rows: seen[view][rows])
    return Task(NAMES, train, None, text, 20.0, 1, Towers(tiny.tower))


AGREED = Path(__file__).parents[2] / "docs" / "agreement.csv"
"""Method, what it is compared with, and how large a difference may be: what was found, rounded up."""


@pytest.fixture(scope="session")
def agreements() -> dict[str, tuple[str, float]]:
    """Method -> what it is compared with, and by how much the two may differ: the table in docs/methods.md."""
    with AGREED.open(newline="", encoding="utf-8") as file:
        return {row["method"]: (row["checked against"], float(row["at most"])) for row in csv.DictReader(file)}


@pytest.fixture
def measured(agreements: dict[str, tuple[str, float]]) -> Callable[[str, Tensor, Tensor], None]:
    """`measured(method, ours, restated)`: of one shape, they differ by no more than the table says."""

    def compare(method: str, ours: Tensor, restated: Tensor) -> None:
        assert ours.shape == restated.shape
        found = float((ours.detach() - restated.detach()).abs().max())
        assert ours.dtype == torch.float64 and found <= agreements[method][1], f"{method}: {found:.2g}"

    return compare


IMAGE = 32


@pytest.fixture(scope="session")
def seeing() -> Tiny:
    """A random CLIP in float64 whose two towers have three blocks each; images are 32 px, of four places."""
    torch.manual_seed(1)
    text = {"context_length": CONTEXT, "vocab_size": 49408, "width": WIDTH, "heads": 4, "layers": 3}
    vision = {"image_size": IMAGE, "layers": 3, "width": 48, "head_width": 16, "patch_size": 16}
    model = open_clip.CLIP(embed_dim=DIM, vision_cfg=vision, text_cfg=text, quick_gelu=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Tiny(model.double().eval().requires_grad_(False), open_clip.SimpleTokenizer(context_length=CONTEXT))


@pytest.fixture
def pixel_task(seeing: Tiny) -> Task:
    """Six images of three classes as pixels, two views each, and what the frozen encoder makes of them."""
    random = torch.Generator().manual_seed(5)
    pixels = torch.randn(2, 6, 3, IMAGE, IMAGE, generator=random, dtype=torch.float64)
    labels = torch.arange(6) % 3
    with torch.no_grad():
        views = torch.stack([seeing.model.encode_image(view) for view in pixels])
        text = seeing.model.encode_text(seeing.tokenizer([f"a photo of a {n.replace('_', ' ')}." for n in NAMES]))
    train = Examples(views, labels, torch.zeros(6).long(), lambda view, rows: pixels[view][rows])
    towers = Towers(seeing.tower, PixelTower(seeing.model))
    return Task(NAMES, train, None, text, 20.0, 1, towers, raw_text=text, templates=("a photo of a {}.",))
