"""What an encoder is, as a small JSON record: a warm run reads it and knows its cache keys without loading CLIP.

Nothing here imports torch or open_clip.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from croftbench.errors import DataError
from croftbench.files import file_digest, write_atomically

__all__ = ["EMBEDDED", "Identity", "config_digest", "identity", "open_clip_version", "write"]

EMBEDDED = "emoji-clip/croftbench"
"""The encoder that ships with the package."""

EMBEDDED_FOLDER = Path(__file__).parents[1] / "embedded" / "clip"


@dataclass(frozen=True)
class Identity:
    """All that changes what an encoder computes.

    Attributes:
        id: as the user typed it.
        weights: absolute path of the weights file.
        size: its size in bytes.
        mtime_ns: its modification time; a change alone means that the file is hashed again.
        weights_digest: its sha256.
        config_digest: sha256 of the architecture, and for the embedded encoder of its vocabulary too.
        image_size: (height, width) in pixels.
        mean: of each RGB channel, in [0, 1].
        std: likewise.
        interpolation: "bicubic" or "bilinear".
        resize_mode: "shortest" (then centre crop), "longest" (then pad) or "squash".
        dim: D, the size of a feature.
        logit_scale: exp of the learned parameter.
        open_clip: version of open_clip that built the model.
    """

    id: str
    weights: str
    size: int
    mtime_ns: int
    weights_digest: str
    config_digest: str
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    resize_mode: str
    dim: int
    logit_scale: float
    open_clip: str

    @property
    def pixels(self) -> str:
        """The settings that every transform shares, as text for fingerprints."""
        size = "x".join(map(str, self.image_size))
        mean, std = (",".join(map(repr, values)) for values in (self.mean, self.std))
        return f"size={size} interpolation={self.interpolation} mean={mean} std={std}"

    @property
    def transform(self) -> str:
        """Everything that changes the pixels of a test image; raise its number when `transforms.test` changes."""
        return f"test 1 {self.pixels} resize={self.resize_mode}"


def identity(encoder_id: str, cache: Path) -> Identity | None:
    """The identity that `load` recorded in `cache`, if it still holds.

    It holds while the weights file, open_clip's version and, for the embedded encoder, its configuration are the
    same. A file that was only touched is hashed again, and the record follows.

    Returns:
        The identity, or None: load the encoder to find out.
    """
    try:
        fields = json.loads(_record(encoder_id, cache).read_text(encoding="utf-8"))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        recorded = Identity(**values)
        stat = Path(recorded.weights).stat()
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    if (
        recorded.id != encoder_id
        or recorded.open_clip != open_clip_version()
        or recorded.size != stat.st_size
        or not _is_current(recorded)
    ):
        return None
    if recorded.mtime_ns != stat.st_mtime_ns:
        if file_digest(Path(recorded.weights)) != recorded.weights_digest:
            return None
        recorded = dataclasses.replace(recorded, mtime_ns=stat.st_mtime_ns)
        write(recorded, cache)
    return recorded


def write(identity: Identity, cache: Path) -> None:
    """Record an identity in `cache`, in one step; a cache that cannot be written only makes the next run slower."""
    with contextlib.suppress(DataError):
        write_atomically(_record(identity.id, cache), json.dumps(dataclasses.asdict(identity), indent=1))


def config_digest(config: dict[str, object], folder: Path | None = None) -> str:
    """sha256 of an architecture's description, or of the configuration and vocabulary files of a folder."""
    if folder is None:
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    digests = [file_digest(folder / name) for name in ("open_clip_config.json", "bpe.txt.gz")]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def open_clip_version() -> str:
    """Installed version of open_clip, without importing it."""
    return metadata.version("open_clip_torch")


def _is_current(recorded: Identity) -> bool:
    """Whether the id still means the file in the record."""
    if recorded.id == EMBEDDED:
        weights = EMBEDDED_FOLDER / "open_clip_model.safetensors"
        return recorded.weights == str(weights) and recorded.config_digest == config_digest({}, EMBEDDED_FOLDER)
    _, at, path = recorded.id.partition("@")
    return not at or recorded.weights == str(Path(path).expanduser().resolve())


def _record(encoder_id: str, cache: Path) -> Path:
    safe = re.sub(r"[^\w.-]+", "-", encoder_id)[:80]
    return cache / "encoders" / f"{safe}-{hashlib.sha256(encoder_id.encode()).hexdigest()[:8]}.json"
