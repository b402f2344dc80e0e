"""Small random encoders on disk: an architecture of open_clip's registry, and a stand-in for the embedded folder."""

import gzip
import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from croftbench.encoders.identity import EMBEDDED, SHIPPED

ARCH = "croftbench-tiny"
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3}
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": TEXT,
}
PREPROCESS = {"mean": [0.85, 0.83, 0.81], "std": [0.27, 0.27, 0.29], "interpolation": "bicubic"}


def random_state(config: dict[str, object], seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights of a freshly initialised model."""
    torch.manual_seed(seed)
    return {k: v.contiguous() for k, v in open_clip.CLIP(**config).state_dict().items()}


@pytest.fixture
def arch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny architecture in open_clip's registry."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, ARCH, CONFIG)
    return ARCH


@pytest.fixture
def state(arch: str) -> dict[str, torch.Tensor]:
    return random_state(CONFIG)


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out as the embedded encoder's, with random half-precision weights and its own short vocabulary."""
    folder = tmp_path / "clip"
    folder.mkdir()
    merges = ["d o", "do g</w>", "c a", "ca t</w>"]
    (folder / "bpe.txt.gz").write_bytes(gzip.compress(("#version: 0.2\n" + "\n".join(merges)).encode()))
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT | {"context_length": 32, "vocab_size": 512 + len(merges) + 2, "layers": 2},
    }
    description = {"model_cfg": config, "preprocess_cfg": PREPROCESS | {"resize_mode": "shortest"}}
    (folder / "open_clip_config.json").write_text(json.dumps(description))
    half = {k: v.half() if v.is_floating_point() else v for k, v in random_state(config).items()}
    save_file(half, folder / "open_clip_model.safetensors")
    monkeypatch.setitem(SHIPPED, EMBEDDED, folder)
    return folder
