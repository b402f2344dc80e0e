"""Where an encoder's weights are: the embedded folder, a path, or open_clip's hub, which fails fast when offline."""

from __future__ import annotations

import difflib
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from croftbench.encoders.identity import EMBEDDED, EMBEDDED_FOLDER
from croftbench.errors import CroftbenchError, DataError, UsageError, unknown

__all__ = ["Source", "available", "hub_or_cache", "locate"]

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Source:
    """How open_clip is asked for a model.

    Attributes:
        arch: name of the architecture; for the embedded encoder `local-dir:<folder>`.
        weights: the file.
        config: open_clip's description of the architecture.
        quick_gelu: whether the weights were trained with OpenAI's approximation of GELU.
        preprocess: mean, std, interpolation, resize_mode, where they differ from open_clip's defaults.
        folder: the embedded encoder's, or None.
    """

    arch: str
    weights: Path
    config: dict[str, Any]
    quick_gelu: bool = False
    preprocess: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None


def available() -> list[str]:
    """The embedded id, then every `arch/tag` of open_clip."""
    import open_clip

    return [EMBEDDED, *sorted(f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained())]


def locate(encoder_id: str) -> Source:
    """Find an encoder's weights, downloading them if need be.

    Raises:
        UsageError: the id means nothing.
        DataError: the weights are not there and cannot be had.
    """
    if encoder_id == EMBEDDED:
        return _embedded(EMBEDDED_FOLDER)
    arch, at, path = encoder_id.partition("@")
    return _from_path(arch, Path(path).expanduser().resolve()) if at else _from_hub(encoder_id)


def _embedded(folder: Path) -> Source:
    import open_clip

    weights = folder / "open_clip_model.safetensors"
    if not weights.is_file():
        raise DataError(f"the embedded encoder has no weights: {weights}.", "Reinstall croftbench.")
    arch = f"local-dir:{folder}"
    return Source(arch, weights, open_clip.get_model_config(arch), folder=folder)


def _from_path(arch: str, weights: Path) -> Source:
    import open_clip

    config = open_clip.get_model_config(arch)
    if config is None:
        raise _no_such("architecture", arch, open_clip.list_models())
    if not weights.is_file():
        raise DataError(f"no weights at {weights}.", "Give a .safetensors or .pt state dict: arch@path.")
    return Source(arch, weights, config)


def _from_hub(encoder_id: str) -> Source:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    arch, _, tag = encoder_id.rpartition("/")
    config = open_clip.get_model_config(arch) if arch else None
    if config is None or tag not in open_clip.list_pretrained_tags_by_model(arch):
        raise _no_such("encoder", encoder_id, available())
    published = get_pretrained_cfg(arch, tag)
    weights = _cached(published) or _download(encoder_id, published)
    keys = ("mean", "std", "interpolation", "resize_mode")
    preprocess = {key: published[key] for key in keys if published.get(key) is not None}
    return Source(arch, weights, config, bool(published.get("quick_gelu")), preprocess)


def _no_such(kind: str, name: str, choices: list[str]) -> UsageError:
    """`errors.unknown`, but without hundreds of names when none is close."""
    if difflib.get_close_matches(name, choices, n=1):
        return unknown(kind, name, choices)
    return UsageError(f"unknown {kind} '{name}'.", "See `croftbench list encoders`, or use arch@path.")


def _cached(published: dict[str, Any]) -> Path | None:
    """The file, if an earlier download left it where open_clip looks; never touches the network."""
    from huggingface_hub import try_to_load_from_cache

    repo, name = published.get("hf_hub", "").rpartition("/")[::2]
    if not repo:
        target = Path("~/.cache/clip").expanduser() / Path(published.get("url", "")).name
        return target if target.is_file() else None
    names = (
        [name.rsplit(".", 1)[0] + ".safetensors", name]
        if name
        else [
            "open_clip_model.safetensors",
            "open_clip_pytorch_model.bin",
        ]
    )
    hits = (try_to_load_from_cache(repo, candidate) for candidate in names)
    return next((Path(hit) for hit in hits if isinstance(hit, str)), None)


def _download(encoder_id: str, published: dict[str, Any]) -> Path:
    import open_clip
    from huggingface_hub import constants

    hint = "Connect once to download them, give a file as arch@path, or use --encoder " + EMBEDDED + "."
    site = constants.ENDPOINT if published.get("hf_hub") else published.get("url", "")
    if constants.is_offline_mode() or not _reachable(site):
        raise DataError(f"the weights of {encoder_id} are not cached and the hub cannot be reached.", hint)
    try:
        return Path(open_clip.download_pretrained(published))
    except Exception as error:  # whatever the hub client, the network and the disk raise
        raise DataError(f"the weights of {encoder_id} could not be downloaded: {_first_line(error)}.", hint) from error


def _reachable(url: str) -> bool:
    """Whether a site answers at all, within seconds: the hub client's own retries take the better part of a minute."""
    parts = urllib.parse.urlsplit(url)
    try:
        request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}", method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except urllib.error.URLError as error:
        # The hub client may trust other certificates than urllib does: let it decide.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def hub_or_cache(source: Source) -> Iterator[None]:
    """Within it, a text tower or tokeniser that comes from the hub is read from the cache if the hub is unreachable."""
    from huggingface_hub import constants

    text = source.config.get("text_cfg", {})
    needs_hub = text.get("hf_model_name") or text.get("hf_tokenizer_name")
    offline = constants.HF_HUB_OFFLINE
    try:
        if needs_hub and not offline:
            constants.HF_HUB_OFFLINE = not _reachable(constants.ENDPOINT)
        yield
    except CroftbenchError:
        raise
    except Exception as error:  # open_clip raises nearly everything, over many lines
        raise DataError(f"{source.weights} does not load as {source.arch}: {_first_line(error)}.") from error
    finally:
        constants.HF_HUB_OFFLINE = offline


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:2])
    return (text if len(text) <= 200 else text[:197] + "...").rstrip(".")
