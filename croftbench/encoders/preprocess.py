"""How an encoder's images become pixels: mean, std, interpolation, resizing, size, and where that was taken from.

In this order: what `--preprocess` says; for weights on disk `open_clip_config.json` beside them, or Transformers'
`preprocessor_config.json`; what open_clip publishes for the tag, or for all weights of the architecture; open_clip's
defaults. Where the last two leave a doubt, it is said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croftbench import texts
from croftbench.encoders import spelling
from croftbench.errors import DataError, UsageError

__all__ = ["NEEDED", "Choice", "asked", "beside", "of_architecture", "of_tag", "read", "settings"]

OPEN_CLIP = "open_clip_config.json"
TRANSFORMERS = "preprocessor_config.json"

KEYS = ("mean", "std", "interpolation", "resize_mode", "size")
NEEDED = {"mean", "std", "interpolation", "resize_mode"}
"""Those that an architecture does not tell; the size it does."""

CHOICES = {"interpolation": ("bicubic", "bilinear"), "resize_mode": ("shortest", "longest", "squash")}
FIXED = {"mode": "RGB", "fill_color": 0}
"""What open_clip's files say besides, and the only value that this version knows."""

RESAMPLE = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, as Transformers writes them."""

EXAMPLE = (
    'Example: {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bilinear", "resize_mode": "squash"}'
)


@dataclass(frozen=True)
class Choice:
    """Settings that somebody states.

    Attributes:
        values: any of `KEYS`; what is not there is left to the next source.
        origin: who states them, to end the sentence "pixels are those of ...".
        doubt: why they may be the wrong ones, a sentence, or "".
    """

    values: Mapping[str, Any]
    origin: str
    doubt: str = ""


def asked(preprocess: str) -> Choice:
    """What `--preprocess` names: a JSON or TOML file, or a published `arch/tag`.

    Raises:
        UsageError: no such file or tag.
        DataError: the file says something that is no setting.
    """
    path = Path(preprocess).expanduser()
    if path.is_file():
        return Choice(_of_file(path), f"--preprocess {preprocess}")
    if path.suffix in (".json", ".toml"):
        raise UsageError(f"there is no file {path} for --preprocess.", "Give a JSON or TOML file, or arch/tag.")
    try:
        return Choice(of_tag(preprocess), f"--preprocess {preprocess}")
    except UsageError as error:
        raise UsageError(f"--preprocess: {error.message}", f"{error.hint} Or give a JSON or TOML file.") from error


def beside(weights: Path) -> Choice | None:
    """What stands beside weights on disk, None where nothing does.

    Raises:
        DataError: a file there says something that is no setting.
    """
    path = weights.parent / OPEN_CLIP
    if path.is_file() and (values := _of_file(path)):
        return Choice(values, f"{OPEN_CLIP} beside the weights")
    path = weights.parent / TRANSFORMERS
    if not path.is_file():
        return None
    return Choice(_of_file(path), f"{TRANSFORMERS} beside the weights")


def of_tag(name: str) -> dict[str, Any]:
    """What open_clip publishes for `arch/tag`.

    Raises:
        UsageError: no such tag.
    """
    from open_clip.pretrained import get_pretrained_cfg

    arch, _, tag = name.rpartition("/")
    published = get_pretrained_cfg(arch, tag)
    if not published:
        raise spelling.no_such_encoder(name)
    return settings(published, name)


def of_architecture(arch: str) -> Choice:
    """What open_clip's published weights of an architecture want, or most of them; else open_clip's defaults."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(arch)
    if not tags:
        plain = f"open_clip publishes no weights of {arch}: if yours want other pixels, say so with --preprocess"
        return Choice({}, "open_clip's defaults", plain)
    by_tag = {tag: json.dumps(of_tag(f"{arch}/{tag}"), sort_keys=True) for tag in tags}
    most, count = Counter(by_tag.values()).most_common(1)[0]
    values = settings(json.loads(most), arch)
    if count == len(tags):
        return Choice(values, f"all of open_clip's published weights of {arch}")
    others = ", ".join(f"{arch}/{tag}" for tag in tags if by_tag[tag] != most)
    doubt = f"those of {others} want others: if yours descend from one of them, say --preprocess with its name"
    return Choice(values, f"{count} of open_clip's {len(tags)} published weights of {arch}", doubt)


def settings(given: Mapping[str, Any], where: object) -> dict[str, Any]:
    """The settings among open_clip's keys, checked; None stands for nothing said.

    Raises:
        DataError: a value that is no setting.
    """
    values: dict[str, Any] = {}
    for key in KEYS:
        value = given.get(key)
        if value is None:
            continue
        values[key] = _checked(key, value, where)
    for key, only in FIXED.items():
        if given.get(key) not in (None, only):
            raise DataError(f"{where}: {key} = {given[key]!r} is not supported.", f"Only {only!r} is.")
    return values


def _checked(key: str, value: Any, where: object) -> Any:
    def numbers(count: int, kind: type | tuple[type, ...]) -> bool:
        several = isinstance(value, list | tuple) and len(value) == count
        return several and all(isinstance(one, kind) and not isinstance(one, bool) for one in value)

    if key in CHOICES and value in CHOICES[key]:
        return value
    fractions = key in ("mean", "std") and numbers(3, (int, float)) and all(0 <= one <= 1 for one in value)
    if fractions and (key == "mean" or all(value)):
        return tuple(map(float, value))
    if key == "size" and isinstance(value, int) and value > 0:
        return (value, value)
    if key == "size" and numbers(2, int) and all(one > 0 for one in value):
        return tuple(value)
    wanted = " or ".join(CHOICES.get(key, ())) or {"size": "a number of pixels, or [height, width]"}.get(
        key, "three numbers from 0 to 1"
    )
    raise DataError(f"{where}: {key} = {value!r} is no setting: it is {wanted}.", EXAMPLE)


def read(path: Path) -> dict[str, Any]:
    """A JSON object or a TOML file.

    Raises:
        DataError: it is neither.
    """
    try:
        given = texts.toml(path) if path.suffix == ".toml" else texts.from_json(path)
    except texts.TextError as error:
        raise DataError(error.message, f"{error.hint} {EXAMPLE}".strip()) from error
    if not isinstance(given, dict):
        raise DataError(f"{path} holds no settings.", EXAMPLE)
    return given


def _of_file(path: Path) -> dict[str, Any]:
    """The settings of a file: open_clip's keys, alone or under `preprocess_cfg`, or Transformers' keys."""
    given = read(path)
    if "model_cfg" in given or "preprocess_cfg" in given:
        given = given.get("preprocess_cfg") or {}
        return settings(given, path)
    if "image_mean" in given:
        return _of_transformers(given, path)
    if strange := sorted(set(given) - set(KEYS) - set(FIXED)):
        raise DataError(f"{path}: '{strange[0]}' is no setting.", f"Settings are {', '.join(KEYS)}.")
    return settings(given, path)


def _of_transformers(given: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The same from Transformers' image processor, where it does what open_clip's transforms can do."""
    size, crop = given.get("size"), given.get("crop_size")
    size = size if isinstance(size, dict) else {"shortest_edge": size}
    crop = [crop.get("height"), crop.get("width")] if isinstance(crop, dict) else [crop, crop]
    edge, box = size.get("shortest_edge"), [size.get("height"), size.get("width")]
    if given.get("do_center_crop") and crop == [edge, edge]:
        shape = {"resize_mode": "shortest", "size": edge}
    elif not given.get("do_center_crop") and None not in box:
        shape = {"resize_mode": "squash", "size": box}
    else:
        shape = {}
    usual = all(given.get(key, True) for key in ("do_resize", "do_rescale", "do_normalize"))
    interpolation = RESAMPLE.get(given.get("resample", 0))
    scale = given.get("rescale_factor", 1 / 255)
    if not shape or not usual or interpolation is None or abs(scale * 255 - 1) > 1e-6:
        raise DataError(
            f"{path} describes steps that open_clip's transforms do not take.",
            "Say --preprocess FILE, or move it away.",
        )
    named = {"mean": given["image_mean"], "std": given.get("image_std"), "interpolation": interpolation}
    return settings({**named, **shape}, path)
