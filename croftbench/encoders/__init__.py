"""Frozen CLIP encoders: the only package that imports open_clip or torchvision, and only when one is loaded.

Ids: `emoji-clip/croftbench` and `emoji-clip/croftbench-2` (ship with croftbench), `arch/tag` (any of open_clip's
published weights, for example `ViT-B-16/openai`), `arch@path/to/weights` (a state dict, .safetensors or .pt, or the
file of OpenAI's `clip.load`), `hf-hub:owner/name` and `local-dir:path` (open_clip's configuration and weights on the
hub, or in a folder). OpenAI's weights and their descendants use another activation: saved as a state dict, their arch
is `ViT-B-16-quickgelu`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.encoders.identity import EMBEDDED, Identity, identity
from croftbench.rooms import callable_room

if TYPE_CHECKING:
    import torch

    from croftbench.encoders.clip import Encoder

__all__ = ["EMBEDDED", "Identity", "available", "identity", "load"]


def load(
    encoder_id: str, device: torch.device | str = "cpu", cache: Path | None = None, preprocess: str = ""
) -> Encoder:
    """Load a frozen encoder in float32.

    Args:
        encoder_id: see this package.
        device: where its towers go.
        cache: folder in which its identity is recorded for `identity`; None records nothing.
        preprocess: a JSON or TOML file, or a published `arch/tag`, whose mean, std, interpolation, resize_mode and size
            replace those that open_clip publishes or that stand beside the weights; "" for these.

    Raises:
        UsageError: no such encoder, file or tag.
        DataError: its weights are missing, unreachable, unreadable or of another architecture.
        CroftbenchError: a package that its tokeniser needs is missing.
    """
    from croftbench.encoders import clip

    return clip.load(encoder_id, device, cache, preprocess)


def available() -> list[str]:
    """Every id that needs no path: the encoders that ship, then open_clip's `arch/tag` (imports open_clip)."""
    from croftbench.encoders import clip

    return clip.available()


callable_room(__name__)
