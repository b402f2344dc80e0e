"""Loading: an encoder id -> a frozen CLIP with its tokeniser and identity."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from croftbench.encoders import (
    checkpoint,
    folding,
    hub,
    image_tower,
    on_disk,
    patches,
    transforms,
    unprojected,
    weights,
)
from croftbench.encoders.checkpoint import first_line, misfit
from croftbench.encoders.identity import (
    FOLDER,
    HUB,
    NEEDS,
    Identity,
    config_digest,
    open_clip_version,
    settings_digest,
    write,
)
from croftbench.encoders.image_tower import PixelTower
from croftbench.encoders.text_tower import PromptTower, refusal
from croftbench.encoders.weights import Source, available
from croftbench.errors import CroftbenchError, DataError
from croftbench.files import file_digest
from croftbench.method import ImageTower, Projection, TextTower

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
        """(B, 3, H, W) transformed images, uint8 or normalised floats -> (B, D) raw features, on its device."""
        features: Tensor = self.model.encode_image(self._ready(pixels))
        return features.float()

    @torch.no_grad()
    def encode_patches(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) transformed images -> (B, 1 + P, D) raw features: of the image, as above, and of its P places.

        Raises:
            CroftbenchError: the image tower has no local features.
        """
        return patches.encode(self.model, self._ready(pixels), self.id).float()

    @torch.no_grad()
    def encode_unprojected(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) transformed images -> (B, W) features before `projection`.

        Raises:
            CroftbenchError: the image tower has none.
        """
        return unprojected.encode(self.model, self._ready(pixels), self.id).float()

    @torch.no_grad()
    def encode_unprojected_patches(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) transformed images -> (B, 1 + P, W) features before `projection`: of the image, as above, and of
        its P places.

        Raises:
            CroftbenchError: the image tower has none.
        """
        return unprojected.encode_patches(self.model, self._ready(pixels), self.id).float()

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

    def image_tower(self) -> ImageTower:
        """A copy of the image tower, for methods that train through it.

        Raises:
            CroftbenchError: it is not a transformer that is read at its class token.
        """
        return PixelTower(self.model, self.id)

    def projection(self) -> Projection:
        """The image tower's last map.

        Raises:
            CroftbenchError: it has none.
        """
        return unprojected.projection(self.model, self.id)

    def _ready(self, pixels: Tensor) -> Tensor:
        there = pixels.to(self.device)
        floats = transforms.normalised(there, self.identity) if pixels.dtype == torch.uint8 else there.float()
        return floats.contiguous(memory_format=torch.channels_last)

    def _encode(self, texts: list[str]) -> Tensor:
        if refusal(self.model):
            features: Tensor = self.model.encode_text(self.tokenizer(texts).to(self.device))
            return features.float()
        tower = PromptTower(self.model, self.tokenizer, self.id)  # the same, without padding
        return tower.encode(tower.start(), *tower.tokens(texts)).float()


def load(
    encoder_id: str, device: torch.device | str = "cpu", cache: Path | None = None, preprocess: str = ""
) -> Encoder:
    """See `croftbench.encoders.load`."""
    source = weights.locate(encoder_id, preprocess)
    _check_packages(source)
    stat = source.weights.stat()
    digest = file_digest(source.weights)
    with checkpoint.plain(source.weights) as plain:
        source = on_disk.settle(source, digest, plain)
        model = _model(source, plain.path, torch.device(device))
    tokenizer = _tokenizer(source)
    pixels = model.visual.preprocess_cfg
    size = pixels["size"]
    identity = Identity(
        id=encoder_id,
        weights=str(source.weights),
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        weights_digest=digest,
        config_digest=config_digest(source.config, source.folder),
        image_size=(size, size) if isinstance(size, int) else (int(size[0]), int(size[1])),
        mean=tuple(pixels["mean"]),
        std=tuple(pixels["std"]),
        interpolation=pixels["interpolation"],
        resize_mode=pixels["resize_mode"],
        dim=int(source.config["embed_dim"]),
        logit_scale=_exp(model.logit_scale.detach().float().item()),
        open_clip=open_clip_version(),
        preprocess=preprocess,
        settings=settings_digest(encoder_id, source.weights, preprocess),
        origin=" and, for the rest, ".join(choice.origin for choice in source.heard),
        doubts=(*source.doubts, *(choice.doubt for choice in source.heard if choice.doubt)),
        lacks=_lacks(model),
    )
    if cache is not None:
        write(identity, cache)
    return Encoder(identity, model, tokenizer, torch.device(device))


def _lacks(model: Any) -> tuple[str, ...]:
    """What methods may need and the encoder has not: see `Identity.lacks`."""
    why = refusal, image_tower.refusal, patches.refusal, unprojected.refusal, unprojected.patches_refusal
    reasons = ((need, of(model)) for need, of in zip(NEEDS, why, strict=True))
    return tuple(f"{need}: {reason}" for need, reason in reasons if reason)


def _exp(parameter: float) -> float:
    """Of a parameter in float32, rounded to float32: the same on every device and machine, as identities must be."""
    return float(np.float32(math.exp(parameter)))


def _check_packages(source: Source) -> None:
    """Name what a text tower or tokeniser needs before gigabytes are read."""
    text = source.config.get("text_cfg", {})
    of_transformers = text.get("hf_model_name") or text.get("hf_tokenizer_name") or "siglip" in source.arch.lower()
    if of_transformers and find_spec("transformers") is None:
        raise CroftbenchError(
            f"{source.arch} reads text with the package transformers, which is not installed.",
            "Run: pip install 'transformers[sentencepiece]'",
        )


def _model(source: Source, path: Path, device: torch.device) -> Any:
    """open_clip's module with the weights of a plain file."""
    import open_clip

    loading = _explained(f"{source.weights} does not load as {source.arch}", source)
    # open_clip draws weights before it reads them: nobody's random stream shall depend on when a model is loaded.
    with loading, torch.random.fork_rng(devices=()), _named(source, path) as (arch, file):
        # The path, not the tag: for a tag open_clip asks the hub even when the file is in its cache.
        model = open_clip.create_model(
            arch,
            pretrained=file,
            require_pretrained=True,
            force_quick_gelu=bool(source.config.get("quick_gelu")),
            force_image_size=_other_size(source),
            force_preprocess_cfg={key: value for key, value in source.stated.items() if key != "size"},
        )
        model = model.float().eval().requires_grad_(False)
        folding.fold(model.visual)
        # Channels last: convolutions are a third faster for it on a CPU, and transformers do not mind.
        return model.to(device, memory_format=torch.channels_last)


@contextmanager
def _named(source: Source, path: Path) -> Iterator[tuple[str, str | None]]:
    """What open_clip calls a source: an architecture and a file, or a folder with a configuration and the weights."""
    if source.folder is None:
        yield source.arch, str(path)
        return
    with tempfile.TemporaryDirectory(prefix="croftbench-model-") as folder:
        name = hub.WEIGHTS[0] if path.suffix == ".safetensors" else hub.WEIGHTS[1]
        Path(folder, name).symlink_to(path.resolve())
        Path(folder, hub.CONFIG).write_text(json.dumps({"model_cfg": source.config}), encoding="utf-8")
        yield f"{FOLDER}{folder}", None


def _other_size(source: Source) -> tuple[int, int] | None:
    """The size that is asked for, where it is not the architecture's own."""
    own, size = source.config["vision_cfg"].get("image_size", 224), source.stated.get("size")
    return None if size is None or size == ((own, own) if isinstance(own, int) else tuple(own)) else size


def _tokenizer(source: Source) -> Callable[[list[str]], Tensor]:
    import open_clip

    vocabulary = source.folder / "bpe.txt.gz" if source.folder else None
    own = {"bpe_path": str(vocabulary)} if vocabulary and vocabulary.is_file() else {}
    with _explained(f"the tokeniser of {source.arch} cannot be had", source):
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(source.arch, **own)
    return tokenizer


@contextmanager
def _explained(what: str, source: Source) -> Iterator[None]:
    """Errors of open_clip and of what it calls, which raise nearly everything over many lines, as one line."""
    text = source.config.get("text_cfg", {})
    asks_hub = bool(text.get("hf_model_name") or text.get("hf_tokenizer_name"))
    try:
        with hub.cache_where_offline(asks_hub or source.arch.startswith(HUB)), _quiet():
            yield
    except CroftbenchError:
        raise
    except ImportError as error:
        raise CroftbenchError(f"{what}: {first_line(error)}.", f"Run: pip install {error.name or '...'}") from error
    except Exception as error:
        raise DataError(f"{what}: {misfit(error)}.", _hint(source)) from error


def _hint(source: Source) -> str:
    return f"Are they weights of {source.arch}? `croftbench list encoders` has others." if source.on_disk else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip logs each step of loading to the root logger, errors too, which we raise."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
