"""Names that others use for the same models lead to open_clip's; the hub's ids answer offline."""

import json
import socket
from importlib.util import find_spec
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from croftbench import encoders
from croftbench.errors import CroftbenchError, DataError, UsageError

PIXELS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bilinear", "resize_mode": "squash"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ViT-B/16", "ViT-B-16/openai"),
        ("ViT-B/32", "ViT-B-32/openai"),
        ("ViT-L/14", "ViT-L-14/openai"),
        ("ViT-L/14@336px", "ViT-L-14-336/openai"),
        ("RN50", "RN50/openai"),
        ("RN50x64", "RN50x64/openai"),
        ("rn101", "RN101/openai"),
        ("vit_b16", "ViT-B-16/openai"),
        ("CLIP-ViT-B/16", "ViT-B-16/openai"),
        ("openai/clip-vit-base-patch16", "ViT-B-16/openai"),
        ("openai/clip-vit-large-patch14-336", "ViT-L-14-336/openai"),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP/webli"),
        ("somebody/their-clip", "hf-hub:somebody/their-clip"),
        ("ViT-B/16@w.pt", "ViT-B-16-quickgelu@w.pt"),
    ],
)
def test_another_spelling_leads_to_the_id(name: str, meant: str) -> None:
    with pytest.raises(UsageError) as error:
        encoders.load(name)
    assert meant in error.value.hint
    assert "\n" not in str(error.value)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which cannot be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def folder_of_a_model(folder: Path, config: dict[str, object], state: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": PIXELS}))
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture
def config(arch: str) -> dict[str, object]:
    return {**open_clip.get_model_config(arch), "quick_gelu": True}


def test_a_model_in_the_hubs_cache(
    config: dict[str, object], state: dict[str, torch.Tensor], offline: Path, tmp_path: Path
) -> None:
    repository = offline / "models--me--mine"
    folder_of_a_model(repository / "snapshots" / ("0" * 40), config, state)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0" * 40)
    encoder = encoders.load("hf-hub:me/mine", cache=tmp_path)
    assert torch.equal(encoder.model.text_projection, state["text_projection"])
    assert type(encoder.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    assert (encoder.identity.mean, encoder.identity.resize_mode) == ((0.5, 0.5, 0.5), "squash")
    assert encoder.encode_texts(["a dog"]).shape == (1, 16)
    assert encoders.identity("hf-hub:me/mine", tmp_path) == encoder.identity


def test_a_folder_of_a_model(config: dict[str, object], state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder_id = f"local-dir:{folder_of_a_model(tmp_path / 'mine', config, state)}"
    encoder = encoders.load(encoder_id, cache=tmp_path)
    assert encoder.identity.std == (0.25, 0.25, 0.25)
    assert encoders.identity(encoder_id, tmp_path) == encoder.identity
    (tmp_path / "mine/open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    assert encoders.identity(encoder_id, tmp_path) is None
    (tmp_path / "mine/open_clip_model.safetensors").unlink()
    with pytest.raises(DataError, match="holds no weights"):
        encoders.load(encoder_id)


def test_a_model_that_is_not_in_the_cache_is_one_line_at_once(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"of hf-hub:me/mine is not in the hub's cache.*arch@path"):
        encoders.load("hf-hub:me/mine")
    # Without the variable, a hub that refuses connections leads to the same line.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        with pytest.raises(DataError, match="cannot be reached"):
            encoders.load("hf-hub:me/mine")


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:mine", "hf-hub:a/b/c", "hf-hub:https://x.org/a"])
def test_an_id_that_the_hub_cannot_have(name: str, offline: Path) -> None:
    with pytest.raises(UsageError, match="hf-hub:owner/name"):
        encoders.load(name)


def test_a_file_of_clip_load_is_taken_only_if_it_is_the_published_one(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache/clip").mkdir(parents=True)
    (tmp_path / ".cache/clip/ViT-B-32.pt").write_bytes(b"half a download")
    with pytest.raises(DataError, match=r"is not the published file of ViT-B-32/openai.*ViT-B-32-quickgelu@"):
        encoders.load("ViT-B-32/openai")


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
@pytest.mark.parametrize("arch", ["ViT-B-16-SigLIP", "ViT-B-16-SigLIP2", "roberta-ViT-B-32", "ViT-L-14-CLIPA"])
def test_a_package_that_a_tokeniser_needs_is_named_before_the_weights_are_read(arch: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"anything")
    with pytest.raises(CroftbenchError, match="pip install 'transformers"):
        encoders.load(f"{arch}@{tmp_path / 'w.pt'}")
