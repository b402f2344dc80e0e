"""Names of encoders as others spell them -> open_clip's `arch/tag`: OpenAI's, Hugging Face's, and near misses."""

from __future__ import annotations

import difflib
import re

from croftbench.errors import UsageError, unknown

__all__ = ["no_such_architecture", "no_such_encoder", "of_openai"]

SEE = "See `croftbench list encoders`, or use arch@path."
SIZES = {"base": "B", "large": "L", "huge": "H", "giant": "g"}


def no_such_encoder(name: str) -> UsageError:
    """The error for an id that open_clip does not have, with the one that was probably meant."""
    import open_clip

    message = f"unknown encoder '{name}'."
    if openai := of_openai(name):
        return UsageError(message, f"OpenAI's model of that name is '{openai}'.")
    if published := _on_the_hub().get(name.lower()):
        return UsageError(message, f"Did you mean '{published}'?")
    if tags := open_clip.list_pretrained_tags_by_model(name):
        few = ", ".join(f"{name}/{tag}" for tag in tags[:3])
        return UsageError(message, f"Say which weights: {few}{', ...' if len(tags) > 3 else ''}")
    ids = [f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained()]
    from croftbench.encoders.identity import SHIPPED

    if difflib.get_close_matches(name, [*SHIPPED, *ids], n=1):
        return unknown("encoder", name, [*SHIPPED, *ids])
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return UsageError(
            message, f"If it is a model of the hub: 'hf-hub:{name}'. Else see `croftbench list encoders`."
        )
    return UsageError(message, SEE)


def no_such_architecture(name: str, path: str) -> UsageError:
    """The error for `arch@path` of an architecture that open_clip does not have."""
    import open_clip

    message = f"unknown architecture '{name}'."
    models = open_clip.list_models()
    if same := {_key(arch): arch for arch in models}.get(_key(name)):
        quick = f"{same}-quickgelu"
        other = f", or '{quick}@{path}' for OpenAI's weights" if quick in models else ""
        return UsageError(message, f"Did you mean '{same}@{path}'{other}?")
    return (
        unknown("architecture", name, models) if difflib.get_close_matches(name, models) else UsageError(message, SEE)
    )


def of_openai(name: str) -> str | None:
    """The id of OpenAI's model: "ViT-B/16", "vit_b16", "RN50", "ViT-L/14@336px", "openai/clip-vit-base-patch16"."""
    import open_clip

    arches = [arch for arch in open_clip.list_pretrained_models_by_tag("openai") if not arch.endswith("-quickgelu")]
    found = re.sub(
        r"^openai/clip-vit-(\w+)-patch(\d+)",
        lambda match: f"vit-{SIZES.get(match[1], match[1])}-{match[2]}",
        name.strip().lower(),
    )
    key = _key(found).removeprefix("clip").removesuffix("px")
    return next((f"{arch}/openai" for arch in arches if _key(arch) == key), None)


def _on_the_hub() -> dict[str, str]:
    """Repository, in lower case -> the id of the weights that open_clip takes from it."""
    import open_clip

    hub: dict[str, str] = {}
    for arch, tag in open_clip.list_pretrained():
        repository = open_clip.get_pretrained_cfg(arch, tag).get("hf_hub", "").rpartition("/")[0]
        hub.setdefault(repository.lower(), f"{arch}/{tag}")
    return hub


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
