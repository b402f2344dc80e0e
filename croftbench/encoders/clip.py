"""Loading: an encoder id -> a frozen CLIP with its tokeniser and identity."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from croftbench.encoders import patches, weights
from croftbench.encoders.identity import Identity, config_digest, open_clip_version, write
from croftbench.encoders.text_tower import PromptTower, refusal
from croftbench.encoders.weights import Source, available, hub_or_cache
from croftbench.files import file_digest
from croftbench.method import TextTower

__all__ = ["Encoder", "available", "load"]

TEXTS = 512
"""Texts that are encoded at once."""


@dataclass(frozen=True)
class Encoder:
    """A frozen CLIP in evaluation mode and float32.

    Attributes:
        identity: what it is, for cache keys.
        model: open_clip's module.
        tokenizer: texts -> (N, context length) token ids.
        device: where the model is.
    """

    identity: Identity
    model: Any
    tokenizer: Callable[[list[str]], Tensor]
    device: torch.device

    @property
    def id(self) -> str:
        """As the user typed it."""
        return self.identity.id

    @property
    def weights_digest(self) -> str:
        """sha256 of the weights file."""
        return self.identity.weights_digest

    @property
    def dim(self) -> int:
        """D, the size of a feature."""
        return self.identity.dim

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by."""
        return self.identity.logit_scale

    @torch.no_grad()
    def encode_images(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) transformed images -> (B, D) raw features on the encoder's device."""
        ready = pixels.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.model.encode_image(ready)
        return features.float()

    @torch.no_grad()
    def encode_patches(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) transformed images -> (B, 1 + P, D) raw features: of the image, as above, and of its P places.

        Raises:
            CroftbenchError: the image tower has no local features.
        """
        ready = pixels.to(self.device, torch.float32).contiguous(memory_format=torch.channels_last)
        return patches.encode(self.model, ready, self.id).float()

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """N texts -> (N, D) raw features; a text beyond the context length is cut before its end token, as in CLIP."""
        chunks = [self._encode(list(texts[i : i + TEXTS])) for i in range(0, len(texts), TEXTS)]
        return torch.cat(chunks) if chunks else torch.empty(0, self.dim, device=self.device)

    def text_tower(self) -> TextTower:
        """The frozen text tower for prompt learning.

        Raises:
            CroftbenchError: it is not a causal transformer that is read at the end token.
        """
        return PromptTower(self.model, self.tokenizer, self.id)

    def _encode(self, texts: list[str]) -> Tensor:
        if refusal(self.model):
            features: Tensor = self.model.encode_text(self.tokenizer(texts).to(self.device))
            return features.float()
        tower = PromptTower(self.model, self.tokenizer, self.id)  # the same, without padding
        return tower.encode(tower.start(), *tower.tokens(texts)).float()


def load(encoder_id: str, device: torch.device | str = "cpu", cache: Path | None = None) -> Encoder:
    """See `croftbench.encoders.load`."""
    source = weights.locate(encoder_id)
    stat = source.weights.stat()
    digest = file_digest(source.weights)
    with hub_or_cache(source), _quiet():
        model, tokenizer = _build(source, torch.device(device))
    preprocess = model.visual.preprocess_cfg
    size = preprocess["size"]
    identity = Identity(
        id=encoder_id,
        weights=str(source.weights),
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        weights_digest=digest,
        config_digest=config_digest(source.config, source.folder),
        image_size=(size, size) if isinstance(size, int) else (int(size[0]), int(size[1])),
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
        interpolation=preprocess["interpolation"],
        resize_mode=preprocess["resize_mode"],
        dim=int(source.config["embed_dim"]),
        logit_scale=model.logit_scale.detach().float().exp().item(),
        open_clip=open_clip_version(),
    )
    if cache is not None:
        write(identity, cache)
    return Encoder(identity, model, tokenizer, torch.device(device))


def _build(source: Source, device: torch.device) -> tuple[Any, Callable[[list[str]], Tensor]]:
    import open_clip

    if source.folder is not None:  # open_clip's local-dir finds the weights beside the configuration
        model = open_clip.create_model(source.arch, require_pretrained=True)
        tokenizer = open_clip.get_tokenizer(source.arch, bpe_path=str(source.folder / "bpe.txt.gz"))
    else:
        # The path, not the tag: for a tag open_clip asks the hub even when the file is in its cache.
        model = open_clip.create_model(
            source.arch,
            pretrained=str(source.weights),
            require_pretrained=True,
            force_quick_gelu=source.quick_gelu,
            force_preprocess_cfg=source.preprocess,
        )
        tokenizer = open_clip.get_tokenizer(source.arch)
    # Channels last: convolutions are a third faster for it on a CPU, and transformers do not mind.
    frozen = model.float().to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return frozen, tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip logs each step of loading to the root logger, errors too, which we raise."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
