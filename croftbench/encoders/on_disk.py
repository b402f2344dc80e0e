"""What can be known of a file of weights that the user named: its activation and its pixels, or why they are in doubt.

The name decides the activation (`ViT-B-32` or `ViT-B-32-quickgelu`), since runs are told apart by it, except where the
file's own content does: OpenAI's form, or a digest that open_clip publishes. A contradiction is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from croftbench.encoders import hub, preprocess
from croftbench.encoders.checkpoint import Plain
from croftbench.encoders.identity import FOLDER
from croftbench.encoders.preprocess import Choice
from croftbench.encoders.weights import Source
from croftbench.errors import UsageError

__all__ = ["settle"]

QUICK = "-quickgelu"
"""How the registry's architectures with OpenAI's approximation of GELU end."""


def settle(source: Source, digest: str, file: Plain) -> Source:
    """A source with what its file and its folder tell.

    Args:
        source: any; of one that the user did not name as a file, all is known.
        digest: sha256 of the file.
        file: what is in it.

    Raises:
        UsageError: the architecture, or its activation, is not that of the weights.
        DataError: a file beside the weights says something that is no setting.
    """
    if not source.on_disk:
        return source
    described = _described(source.weights)
    if described and _other_architecture(source.config, described):
        source = replace(source, doubts=(f"{hub.CONFIG} beside it is of another architecture and is left aside",))
        described = {}
    known = hub.published_tag(digest)
    if preprocess.NEEDED - set(source.stated):
        ignored = bool(source.doubts)
        source = replace(source, pixels=(*source.pixels, *_pixels(source, known, ignored)))
    if known and known[0] != source.arch.removesuffix(QUICK):
        raise UsageError(
            f"{source.weights} holds {'/'.join(known)}, not a {source.arch}.", f"Take --encoder {'/'.join(known)}."
        )
    if doubt := _other_size(source, file.positions):
        source = replace(source, doubts=(*source.doubts, doubt))
    return _activation(source, known, file.openai, described)


def _pixels(source: Source, known: tuple[str, str] | None, ignored: bool) -> list[Choice]:
    """Who states the preprocessing, besides the user: best first."""
    found = [] if ignored else [preprocess.beside(source.weights)]
    if known:
        name = "/".join(known)
        found.append(Choice(preprocess.of_tag(name), f"{name}, whose file it is"))
    return [choice for choice in (*found, preprocess.of_architecture(source.arch)) if choice]


def _activation(source: Source, known: tuple[str, str] | None, openai: bool, described: Mapping[str, Any]) -> Source:
    """GELU or QuickGELU: what the file tells, held against the name; where nothing tells, a doubt."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    quick = bool(source.config.get("quick_gelu"))
    if known:
        name, wanted = "/".join(known), bool(get_pretrained_cfg(*known).get("quick_gelu"))
    elif openai:
        name, wanted = "a model in OpenAI's form", True
    elif described:
        name, wanted = f"what {hub.CONFIG} beside it describes", bool(described.get("quick_gelu"))
    elif not quick and f"{source.arch}{QUICK}" in open_clip.list_models():
        return replace(source, doubts=(*source.doubts, _question(source.arch)))
    else:
        return source
    if wanted and not quick and (known or openai):
        return replace(source, config={**source.config, "quick_gelu": True})
    if wanted != quick:
        other = f"{source.arch}{QUICK}" if wanted else source.arch.removesuffix(QUICK)
        uses = {True: "QuickGELU", False: "GELU"}
        raise UsageError(
            f"{source.arch} uses {uses[quick]}, and {source.weights} holds {name}, with {uses[wanted]}.",
            f"Take --encoder {other}@{source.weights}, or {FOLDER}{source.weights.parent}."
            if described
            else f"Take --encoder {other}@{source.weights}.",
        )
    return source


def _other_size(source: Source, positions: int | None) -> str:
    """Position embeddings for another number of patches are interpolated by open_clip, which is said."""
    vision = source.config["vision_cfg"]
    own, patch = vision.get("image_size", 224), vision.get("patch_size", 16)
    size = source.stated.get("size", (own, own) if isinstance(own, int) else own)
    if positions is None or not isinstance(patch, int) or vision.get("timm_model_name"):
        return ""
    tokens = 1 + (size[0] // patch) * (size[1] // patch)
    if positions == tokens:
        return ""
    side = round((positions - 1) ** 0.5) * patch
    return (
        f"its image tower has {positions} positions ({side} x {side} pixels), which are interpolated to the {tokens} "
        f"of {size[0]} x {size[1]} pixels"
    )


def _question(arch: str) -> str:
    return (
        f"a file does not tell GELU from QuickGELU, and {arch} uses GELU; weights that descend from OpenAI's, "
        f"MetaCLIP's or DFN's need --encoder {arch}{QUICK}@PATH"
    )


def _described(weights: Path) -> dict[str, Any]:
    """The architecture that a configuration beside the weights describes; {} without one."""
    path = weights.parent / hub.CONFIG
    if not path.is_file():
        return {}
    described = preprocess.read(path).get("model_cfg")
    return described if isinstance(described, dict) else {}


def _other_architecture(config: Mapping[str, Any], described: Mapping[str, Any]) -> bool:
    keys = ("layers", "width", "patch_size", "timm_model_name")
    towers = described.get("vision_cfg", {}), config["vision_cfg"]
    return described.get("embed_dim") != config["embed_dim"] or any(
        towers[0].get(key) != towers[1].get(key) for key in keys
    )
