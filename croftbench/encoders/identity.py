"""What an encoder is, as a small JSON record: a warm run reads it and knows its cache keys without loading CLIP.

Nothing here imports torch or open_clip.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croftbench.defaults import EMBEDDED
from croftbench.files import digest, file_digest, recall, remember

__all__ = [
    "EARLIER", "EMBEDDED", "FOLDER", "HUB", "NEEDS", "SHIPPED", "Identity",
    "config_digest", "identity", "open_clip_version", "settings_digest", "write",
]  # fmt: skip

EARLIER = "emoji-clip/croftbench"
"""The one that ran before where none is named: it knows less of pictures, and encodes about twice as many a second."""

SHIPPED = {
    EMBEDDED: Path(__file__).parents[1] / "embedded" / "clip-2",
    EARLIER: Path(__file__).parents[1] / "embedded" / "clip",
}
"""Encoders that ship with the package, and their folders."""

HUB, FOLDER = "hf-hub:", "local-dir:"
"""How open_clip's ids of the hub's repositories and of folders begin."""

BESIDE = ("open_clip_config.json", "preprocessor_config.json")
"""Files beside weights on disk that say how images become pixels."""

VOCABULARY = (
    "bpe.txt.gz", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model",
)  # fmt: skip
"""Files in a folder of open_clip's that say how texts become tokens."""


NEEDS = "text=tower", "image=tower", "image=patches", "image=unprojected", "image=unprojected-patches"
"""What of `croftbench.method.Needs` not every encoder has."""


@dataclass(frozen=True)
class Identity:
    """All that changes what an encoder computes.

    Attributes:
        id: as the user typed it.
        weights: absolute path of the weights file.
        size: its size in bytes.
        mtime_ns: its modification time; a change alone means that the file is hashed again.
        weights_digest: its sha256.
        config_digest: sha256 of the architecture, and of the vocabulary where it lies in the weights' folder.
        image_size: (height, width) in pixels.
        mean: of each RGB channel, in [0, 1].
        std: likewise.
        interpolation: "bicubic" or "bilinear".
        resize_mode: "shortest" (then centre crop), "longest" (then pad) or "squash".
        dim: D, the size of a feature.
        logit_scale: exp of the learned parameter.
        open_clip: version of open_clip that built the model.
        preprocess: what `--preprocess` asked for, as the user typed it, or "".
        settings: digest of the files that the preprocessing and the vocabulary were looked for in.
        origin: who states the preprocessing.
        doubts: what may be wrong about weights that the user named, one clause each.
        lacks: what methods may need and it has not, "image=tower: its image tower is a ModifiedResNet" each.
        asked: the needs that it was asked for; a record that was made before there were others is made again.
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
    preprocess: str = ""
    settings: str = ""
    origin: str = ""
    doubts: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    asked: tuple[str, ...] = NEEDS

    def lacking(self, image: str, text: str) -> str:
        """Why a method with these needs (`croftbench.method.Needs`) cannot run with it; "" if it can."""
        for need, _, reason in (one.partition(": ") for one in self.lacks):
            if need in (f"image={image}", f"text={text}"):
                return reason
        return ""

    @property
    def model(self) -> str:
        """Digest of what changes outputs beside weights and pixels: architecture, vocabulary, logit scale.

        A record that says something else than the weights is another encoder, never the same run.
        """
        return digest([self.config_digest, self.logit_scale])[:12]

    @property
    def told(self) -> str:
        """One line on what was chosen and what is in doubt; "" where the id alone says it."""
        published = self.id in SHIPPED or not ("@" in self.id or self.id.startswith((HUB, FOLDER)))
        if published and not self.preprocess:
            return ""
        chosen = f"{self.id}: preprocessing {self.pixels} resize={self.resize_mode}, that of {self.origin}."
        return " ".join([chosen, *(f"Check: {doubt}." for doubt in self.doubts)])

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


def identity(encoder_id: str, cache: Path, preprocess: str = "") -> Identity | None:
    """The identity that `load` recorded in `cache`, if it still holds.

    It holds while the weights file, open_clip's version, what the preprocessing was taken from and, for a folder, its
    configuration are the same. A file that was only touched is hashed again, and the record follows.

    Returns:
        The identity, or None: load the encoder to find out.
    """
    try:
        fields = recall(_record(encoder_id, preprocess, cache)) or {}
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        recorded = Identity(**values)
        stat = Path(recorded.weights).stat()
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    if (
        (recorded.id, recorded.preprocess) != (encoder_id, preprocess)
        or "lacks" not in fields  # a record of before
        or fields.get("asked") != list(NEEDS)  # one of before there was all that methods need now
        or recorded.open_clip != open_clip_version()
        or recorded.size != stat.st_size
        or recorded.settings != settings_digest(encoder_id, Path(recorded.weights), preprocess)
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
    remember(_record(identity.id, identity.preprocess, cache), dataclasses.asdict(identity))


def config_digest(config: Mapping[str, Any], folder: Path | None = None) -> str:
    """sha256 of an architecture's description and of the vocabulary in its folder, if it has any."""
    if folder is not None and folder in SHIPPED.values():
        digests = [file_digest(folder / name) for name in ("open_clip_config.json", "bpe.txt.gz")]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()
    described = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    paths = [] if folder is None else [folder / name for name in VOCABULARY]
    words = [file_digest(path) if path.is_file() else "" for path in paths]
    return digest([described, words]) if any(words) else described


def settings_digest(encoder_id: str, weights: Path, preprocess: str) -> str:
    """sha256 of the files that say how images and texts are read, beside weights that the user named and as asked; or
    "" where there are none.
    """
    in_folder = encoder_id.startswith((HUB, FOLDER))
    beside = (*BESIDE, *VOCABULARY) if in_folder else BESIDE if "@" in encoder_id else ()
    files = [weights.parent / name for name in beside]
    if preprocess:
        files.append(Path(preprocess).expanduser())
    digests = [file_digest(path) if path.is_file() else "" for path in files]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest() if any(digests) else ""


def open_clip_version() -> str:
    """Installed version of open_clip, without importing it."""
    from importlib import metadata  # takes as long as Click

    return metadata.version("open_clip_torch")


def _is_current(recorded: Identity) -> bool:
    """Whether the id still means the file in the record."""
    if folder := SHIPPED.get(recorded.id):
        weights = folder / "open_clip_model.safetensors"
        return recorded.weights == str(weights) and recorded.config_digest == config_digest({}, folder)
    if recorded.id.startswith((HUB, FOLDER)):
        folder = Path(recorded.id.removeprefix(FOLDER)).expanduser().resolve()
        return recorded.id.startswith(HUB) or Path(recorded.weights).parent == folder
    _, at, path = recorded.id.partition("@")
    return not at or recorded.weights == str(Path(path).expanduser().resolve())


def _record(encoder_id: str, preprocess: str, cache: Path) -> Path:
    safe = re.sub(r"[^\w.-]+", "-", encoder_id)[:80]
    whole = f"{encoder_id}\n{preprocess}" if preprocess else encoder_id
    return cache / "encoders" / f"{safe}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}.json"
