"""A tiny random CLIP with an image transformer, as a folder of open_clip's: what methods that need one are checked on.

The encoders that ship have convolutional image towers. Its weights are drawn from a fixed seed: what it sees means
nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from croftbench.encoders.hub import CONFIG, WEIGHTS
from croftbench.encoders.identity import EARLIER, FOLDER, SHIPPED

__all__ = ["stand_in"]

MODEL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 32, "vocab_size": 4000, "width": 48, "heads": 3, "layers": 3},
}


def stand_in(cache: Path) -> str:
    """Its id, `local-dir:...`; it is made in the cache where it is not there yet."""
    import open_clip
    from safetensors.torch import save

    from croftbench.files import write_atomically

    folder, shipped = cache / "encoders" / "stand-in-1", SHIPPED[EARLIER]
    if not (folder / CONFIG).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shipped / "bpe.txt.gz", folder / "bpe.txt.gz")
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            state = open_clip.CLIP(**MODEL).state_dict()
        write_atomically(folder / WEIGHTS[0], save({k: v.contiguous() for k, v in state.items()}), "--cache")
        pixels = json.loads((shipped / CONFIG).read_bytes())["preprocess_cfg"]
        about = json.dumps({"model_cfg": MODEL, "preprocess_cfg": pixels})
        write_atomically(folder / CONFIG, about.encode(), "--cache")
    return f"{FOLDER}{folder.resolve()}"
