"""Frozen CLIP encoders: the only package that imports open_clip or torchvision, and only when one is loaded.

Ids: `emoji-clip/croftbench` (ships with croftbench), `arch/tag` (any of open_clip's published weights, for example
`ViT-B-16/openai`), `arch@path/to/weights` (an open_clip state dict, .safetensors or .pt). OpenAI's weights and their
descendants use another activation: saved on disk, their arch is for example `ViT-B-16-quickgelu`.
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


def load(encoder_id: str, device: torch.device | str = "cpu", cache: Path | None = None) -> Encoder:
    """Load a frozen encoder in float32.

    Args:
        encoder_id: see this package.
        device: where its towers go.
        cache: folder in which its identity is recorded for `identity`; None records nothing.

    Raises:
        UsageError: no such encoder.
        DataError: its weights are missing, unreachable or of another architecture.
    """
    from croftbench.encoders import clip

    return clip.load(encoder_id, device, cache)


def available() -> list[str]:
    """Every id that needs no path: the embedded encoder, then open_clip's `arch/tag` (imports open_clip)."""
    from croftbench.encoders import clip

    return clip.available()


callable_room(__name__)
