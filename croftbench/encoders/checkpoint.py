"""A weights file of any origin -> a plain state dict on disk, which open_clip reads; or one line on what the file is.

No file runs code here. PyTorch's own safe reader is tried first; what it refuses (TorchScript, trainings that hold more
than tensors, whole modules) is read by `unpickle`, and the tensors are handed on as a plain file.
"""

from __future__ import annotations

import pickle
import re
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from croftbench.encoders import unpickle
from croftbench.errors import DataError

__all__ = ["Plain", "first_line", "misfit", "plain"]

OPENAI_EXTRAS = {"input_resolution", "context_length", "vocab_size"}
"""What OpenAI's state dicts hold besides weights: enough to know them by."""

INNER = ("state_dict", "model_state_dict", "model", "module", "net")
"""Where trainings put the state dict in their checkpoints."""

POSITIONS = "visual.positional_embedding"
"""(tokens, width) of a vision transformer, the token of the whole image first."""

WRAPPERS = ("module.", "model.", "clip_model.", "clip.", "net.", "_orig_mod.")
"""What names begin with after training on several devices, in Lightning, in a module of one's own, compiled."""

MASKS = r"(^|\.)attn_mask$"
"""The causal mask, which TorchScript keeps among the buffers and a state dict leaves to the architecture."""

AGAIN = "Download it again."


@dataclass(frozen=True)
class Plain:
    """A state dict that open_clip can read.

    Attributes:
        path: of the file.
        openai: whether it is in the form that OpenAI published, whose models use QuickGELU.
        positions: of how many tokens an image tower's position embeddings are, None where it has none of that name.
    """

    path: Path
    openai: bool = False
    positions: int | None = None


@contextmanager
def plain(weights: Path) -> Iterator[Plain]:
    """A file of weights as a plain state dict: the file itself, or a temporary one within the context.

    Raises:
        DataError: it is empty, cut short, not a file of weights at all, or holds no state dict.
    """
    _check_kind(weights)
    if weights.suffix == ".safetensors":
        yield Plain(weights, positions=_positions_in_safetensors(weights))
        return
    if weights.suffix in (".npz", ".npy"):
        yield Plain(weights)
        return
    state, passes = _read(weights)
    openai = state.keys() >= OPENAI_EXTRAS
    positions = len(state[POSITIONS]) if POSITIONS in state else None
    if passes and not openai:
        yield Plain(weights, positions=positions)
        return
    with tempfile.TemporaryDirectory(prefix="croftbench-weights-") as folder:
        copy = Path(folder, "open_clip_pytorch_model.bin")
        torch.save({name: tensor for name, tensor in state.items() if name not in OPENAI_EXTRAS}, copy)
        del state
        yield Plain(copy, openai, positions)


def misfit(error: BaseException) -> str:
    """What PyTorch says where a state dict does not fit a module, as counts with the first example of each."""
    text, said = str(error), []
    for kind, what in (("Missing", "are missing"), ("Unexpected", "are not the architecture's")):
        found = re.search(rf"{kind} key\(s\) in state_dict: (.*)", text)
        if names := re.findall(r'"([^"]+)"', found[1] if found else ""):
            said.append(f"{len(names)} tensors {what} ({names[0]}{', ...' if len(names) > 1 else ''})")
    shapes = re.findall(r"size mismatch for (\S+): .*?torch\.Size\((.*?)\).*?torch\.Size\((.*?)\)", text)
    if shapes:
        name, here, there = shapes[0]
        said.append(f"{len(shapes)} are of another shape ({name}: {here}, not {there})")
    return ", ".join(said) or first_line(error)


def first_line(error: BaseException) -> str:
    """What an error of another package says, as one short line without terminal codes, addresses or unsafe advice."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(error))
    text = re.sub(r" (?:object )?at 0x[0-9a-fA-F]+", "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and "weights_only" not in line]
    joined = " ".join(lines[:2]) or type(error).__name__
    return (joined if len(joined) <= 200 else joined[:197] + "...").rstrip(".")


# ------------------------------------------------------------------------------------------- kinds


def _check_kind(weights: Path) -> None:
    """Name what is not a file of weights by how it begins."""
    try:
        size = weights.stat().st_size
        with weights.open("rb") as file:
            head = file.read(1024)
            tar = file.seek(257) and file.read(5) == b"ustar"
    except OSError as error:
        raise DataError(f"cannot read {weights}: {error.strerror}.", "Check the path.") from error
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if size == 0:
        raise DataError(f"{weights} is empty (0 bytes).", AGAIN)
    if text.startswith(b"version https://git-lfs"):
        raise DataError(
            f"{weights} is a Git LFS pointer, not the weights.",
            f"Fetch them where it was cloned: git lfs pull --include={weights.name}",
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise DataError(f"{weights} is a web page, not weights.", f"{AGAIN} The server sent a page in their place.")
    safe, zipped = head[8:9] == b"{" and head[7:8] == b"\0", head.startswith(b"PK\x03\x04")
    if weights.suffix == ".safetensors" and zipped:
        raise DataError(f"{weights} is a PyTorch file, whatever its name says.", "Rename it to end in .pt.")
    if weights.suffix == ".safetensors":
        return
    if safe:
        raise DataError(f"{weights} is a safetensors file.", "Rename it to end in .safetensors.")
    if zipped and not zipfile.is_zipfile(weights):
        raise DataError(f"{weights} is cut short: {size:,} bytes are here, and its end is missing.", AGAIN)
    if tar or head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")):
        raise DataError(
            f"{weights} is an archive (tar or compressed), not weights.",
            "Unpack it; if a PyTorch of before 2018 wrote it, save its state dict anew with a current one.",
        )


def _positions_in_safetensors(weights: Path) -> int | None:
    from safetensors import safe_open

    try:
        with safe_open(weights, framework="pt") as file:
            names = set(file.keys())
            positions = file.get_slice(POSITIONS).get_shape()[0] if POSITIONS in names else None
    except Exception as error:  # safetensors raises its own kinds
        raise _damaged(weights, weights.stat().st_size, "safetensors", error) from error
    _check_names(weights, names)
    return positions


def _read(weights: Path) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a file, and whether open_clip finds them there by itself."""
    size = weights.stat().st_size
    script = zipped = zipfile.is_zipfile(weights)
    try:
        script = zipped and unpickle.is_script(weights)
        held = None if script else _by_pytorch(weights, zipped)
        own = held is None
        if own:
            held = unpickle.load(weights)
        state, passes = _state_dict(held)
    except Exception as error:  # a damaged pickle can raise anything
        raise _damaged(weights, size, "PyTorch", error) from error
    if not state:
        raise DataError(f"{weights} holds no state dict.", "Give what torch.save(model.state_dict(), ...) wrote.")
    _check_names(weights, set(state))
    return state, passes and not own


def _by_pytorch(weights: Path, zipped: bool) -> object:
    """What PyTorch's safe reader gives; None where it refuses what the file names."""
    try:
        with warnings.catch_warnings():  # on how the file was written, which is read below in any case
            warnings.simplefilter("ignore")
            return torch.load(weights, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError:
        return None


def _state_dict(held: object) -> tuple[dict[str, Tensor], bool]:
    """The state dict in what a file holds, and whether it is there as open_clip reads it."""
    inner, outer = held, ""
    if isinstance(held, dict):
        outer = next((key for key in INNER if key in held and not isinstance(held[key], Tensor)), "")
        inner = held[outer] if outer else held
    found = unpickle.tensors_in(inner)
    state = {name: tensor for name, tensor in _unwrapped(found).items() if not re.search(MASKS, name)}
    bare = isinstance(inner, dict) and len(found) == len(inner) and state.keys() == found.keys()
    return state, bare and outer in ("", "state_dict")


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what all of them begin with because the model was wrapped."""
    for wrapper in WRAPPERS * 2:
        if state and all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): tensor for name, tensor in state.items()}
    return state


def _check_names(weights: Path, names: set[str]) -> None:
    if any(name.startswith("vision_model.") for name in names) and any(n.startswith("text_model.") for n in names):
        raise DataError(
            f"{weights} is in the layout of the package transformers, not open_clip's.",
            "Take open_clip's weights of the same model: `croftbench list encoders`, or hf-hub:owner/name.",
        )


def _damaged(weights: Path, size: int, format: str, error: Exception) -> DataError:
    what = (
        f"{weights} ({size:,} bytes) cannot be read as a {format} file of weights: it is cut short, damaged or another"
    )
    return DataError(f"{what} format: {first_line(error)}.", AGAIN)
