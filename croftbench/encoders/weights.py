"""Where an encoder's weights are, by the kind of its id, and what open_clip is told about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croftbench.encoders import hub, preprocess, spelling
from croftbench.encoders.identity import FOLDER, HUB, SHIPPED
from croftbench.encoders.preprocess import Choice
from croftbench.errors import DataError

__all__ = ["Source", "available", "locate"]

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True)
class Source:
    """How open_clip is asked for a model.

    Attributes:
        arch: name of the architecture; `local-dir:<folder>` for a folder, `hf-hub:<repository>` for the hub's.
        weights: the file.
        config: open_clip's description of the architecture.
        pixels: who states the preprocessing, best first; later ones fill gaps.
        folder: that holds the configuration and the weights, or None.
        on_disk: whether the user named a file: then nobody but the user knows what it was trained with.
        doubts: what may be wrong about it, sentences without their full stop.
    """

    arch: str
    weights: Path
    config: Mapping[str, Any]
    pixels: tuple[Choice, ...] = ()
    folder: Path | None = None
    on_disk: bool = False
    doubts: tuple[str, ...] = ()

    @property
    def stated(self) -> dict[str, Any]:
        """The preprocessing, from all who state it."""
        return {key: value for choice in reversed(self.pixels) for key, value in choice.values.items()}

    @property
    def heard(self) -> list[Choice]:
        """Those of `pixels` that state what nobody before them does; open_clip's defaults state nothing."""
        choices: list[Choice] = []
        for choice in self.pixels:
            before = {key for other in choices for key in other.values}
            if set(choice.values) - before or not (choice.values or preprocess.NEEDED.issubset(before)):
                choices.append(choice)
        return choices


def available() -> list[str]:
    """The ids that ship, then every `arch/tag` of open_clip."""
    import open_clip

    return [*SHIPPED, *sorted(f"{arch}/{tag}" for arch, tag in open_clip.list_pretrained())]


def locate(encoder_id: str, asked: str = "") -> Source:
    """Find an encoder's weights, downloading them if need be; `asked` is what `--preprocess` says.

    Raises:
        UsageError: the id, or what is asked, means nothing.
        DataError: the weights are not there and cannot be had.
    """
    given = (preprocess.asked(asked),) if asked else ()
    if encoder_id.startswith(HUB):
        return _from_hub(encoder_id.removeprefix(HUB), given)
    if encoder_id in SHIPPED or encoder_id.startswith(FOLDER):
        own = SHIPPED.get(encoder_id) or Path(encoder_id.removeprefix(FOLDER)).expanduser().resolve()
        return _from_folder(own, own / hub.CONFIG, _weights_in(own, encoder_id), f"{FOLDER}{own}", given)
    arch, at, path = encoder_id.partition("@")
    weights = Path(path).expanduser().resolve()
    if not at or (not weights.exists() and spelling.of_openai(encoder_id)):
        return _published(encoder_id, given)
    return _from_path(arch, path, weights, given)


# ------------------------------------------------------------------------------------------- by kind of id


def _published(encoder_id: str, given: tuple[Choice, ...]) -> Source:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    arch, _, tag = encoder_id.rpartition("/")
    config = open_clip.get_model_config(arch) if arch and ":" not in arch else None
    if config is None or tag not in open_clip.list_pretrained_tags_by_model(arch):
        raise spelling.no_such_encoder(encoder_id)
    published = get_pretrained_cfg(arch, tag)
    weights = hub.published_file(encoder_id, published)
    if published.get("quick_gelu"):
        config["quick_gelu"] = True
    return Source(arch, weights, config, (*given, Choice(preprocess.of_tag(encoder_id), encoder_id)))


def _from_path(arch: str, path: str, weights: Path, given: tuple[Choice, ...]) -> Source:
    import open_clip

    config = open_clip.get_model_config(arch) if ":" not in arch else None
    if config is None:
        raise spelling.no_such_architecture(arch, path)
    if weights.is_dir():
        raise DataError(f"{weights} is a folder.", f"Name the file in it, or the folder as {FOLDER}{path}.")
    if not weights.is_file():
        raise DataError(f"no weights at {weights}.", "Give a .safetensors or .pt state dict: arch@path.")
    return Source(arch, weights, config, given, on_disk=True)


def _from_hub(repository: str, given: tuple[Choice, ...]) -> Source:
    config = hub.file_of(repository, [hub.CONFIG])
    weights = hub.file_of(repository, hub.WEIGHTS)
    return _from_folder(config.parent, config, weights, f"{HUB}{repository}", given)


def _from_folder(folder: Path, config: Path, weights: Path, arch: str, given: tuple[Choice, ...]) -> Source:
    described = preprocess.read(config)
    if "model_cfg" not in described:
        raise DataError(f"{config} has no model_cfg: it is not a model of open_clip's.", "Name weights as arch@path.")
    own = Choice(
        preprocess.settings(described.get("preprocess_cfg") or {}, config), f"the {hub.CONFIG} that comes with it"
    )
    return Source(arch, weights, described["model_cfg"], (*given, own), folder)


def _weights_in(folder: Path, encoder_id: str) -> Path:
    """The file of weights in a folder of open_clip's.

    Raises:
        DataError: there is no such folder, or none or several in it.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}.", f"{FOLDER} takes one with {hub.CONFIG} and weights.")
    named = [folder / name for name in hub.WEIGHTS if (folder / name).is_file()]
    found = named[:1] or [
        path for end in ("safetensors", "bin", "pth", "pt") for path in sorted(folder.glob(f"*.{end}"))
    ]
    if len(found) == 1:
        return found[0]
    if encoder_id in SHIPPED:
        raise DataError(f"{encoder_id} has no weights: {folder / hub.WEIGHTS[0]}.", "Reinstall croftbench.")
    what = f"several files of weights ({found[0].name}, {found[1].name})" if found else "no weights"
    raise DataError(f"{folder} holds {what}.", f"It should hold {hub.CONFIG} and {hub.WEIGHTS[0]}.")
