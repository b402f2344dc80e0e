"""Loading by id, its errors, and the record that lets a warm run do without CLIP."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub.constants
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

import croftbench
from croftbench import encoders
from croftbench.encoders import transforms
from croftbench.encoders.clip import Encoder
from croftbench.encoders.identity import EMBEDDED, SHIPPED
from croftbench.errors import DataError, UsageError
from croftbench.files import file_digest

PICTURES = Path(croftbench.__file__).parent / "embedded" / "emoji" / "images.parquet"
PUBLISHED = {
    "hf_hub": "croftbench-tests/tiny/",
    "quick_gelu": True,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and a hub that refuses connections."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "hub"


@pytest.fixture
def tagged(arch: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An `arch/tag` that open_clip lists."""
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, arch, {"random": PUBLISHED})
    return f"{arch}/random"


def assert_frozen(encoder: Encoder) -> None:
    assert not encoder.model.training
    assert not any(p.requires_grad for p in encoder.model.parameters())
    assert {p.dtype for p in encoder.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_arch_at_path(suffix: str, arch: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    encoder = encoders.load(f"{arch}@{path}")
    assert_frozen(encoder)
    assert torch.equal(encoder.model.text_projection, state["text_projection"])
    assert encoder.weights_digest == file_digest(path)
    assert (encoder.dim, encoder.identity.image_size) == (16, (32, 32))
    assert encoder.logit_scale == pytest.approx(1 / 0.07)
    pixels = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(encoder.encode_images(pixels), encoder.model.encode_image(pixels))
    texts = ["a dog", "a cat on a mat"]
    plain = encoder.model.encode_text(open_clip.get_tokenizer(arch)(texts))
    torch.testing.assert_close(encoder.encode_texts(texts), plain)
    assert encoder.encode_texts([]).shape == (0, 16)


def test_embedded(embedded: Path) -> None:
    encoder = encoders.load(encoders.EMBEDDED)
    assert_frozen(encoder)
    assert encoder.identity.image_size == (64, 64)
    assert encoder.identity.mean == (0.85, 0.83, 0.81)
    half = load_file(embedded / "open_clip_model.safetensors")["text_projection"]
    assert torch.equal(encoder.model.text_projection, half.float())
    assert encoder.encode_images(torch.randn(2, 3, 64, 64)).shape == (2, 16)
    assert torch.isfinite(encoder.encode_texts(["dog", "word " * 50])).all()


@pytest.mark.parametrize(("encoder_id", "places"), [(one, 16 if one == EMBEDDED else 4) for one in SHIPPED])
def test_every_encoder_that_ships_knows_a_picture_of_a_dog(encoder_id: str, places: int) -> None:
    encoder = encoders.load(encoder_id)
    rows = pq.read_table(PICTURES, filters=[("style", "=", "noto"), ("name", "=", "dog face")]).to_pylist()
    pixels = transforms.test(encoder.identity)(Image.open(io.BytesIO(rows[0]["image"])).convert("RGB"))[None]
    feature = normalize(encoder.encode_images(pixels), dim=-1)
    names = ["dog", "violin", "sailboat", "banana", "castle"]
    texts = normalize(encoder.encode_texts([f"a drawing of a {name}." for name in names]), dim=-1)
    assert names[int((feature @ texts.T).argmax())] == "dog"
    assert encoder.encode_patches(pixels).shape == (1, 1 + places, encoder.dim)
    assert encoder.id in encoders.available()


def test_arch_and_tag_from_the_hub_cache(
    tagged: str, state: dict[str, torch.Tensor], hub: Path, tmp_path: Path
) -> None:
    repository = hub / "models--croftbench-tests--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "open_clip_model.safetensors")
    begin = time.monotonic()
    encoder = encoders.load(tagged, cache=tmp_path)
    assert time.monotonic() - begin < 10
    assert type(encoder.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    assert encoder.identity.mean == (0.5, 0.5, 0.5)
    assert (encoder.identity.resize_mode, encoder.identity.interpolation) == ("squash", "bilinear")
    assert encoders.identity(tagged, tmp_path) == encoder.identity


@pytest.mark.parametrize("encoder_id", ["ViT-B-16/openai", None])
def test_an_unreachable_hub_fails_fast_and_says_what_to_do(encoder_id: str | None, tagged: str, hub: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(DataError, match=r"cannot be reached\. .*arch@path.*emoji-clip/croftbench") as error:
        encoders.load(encoder_id or tagged)
    assert time.monotonic() - begin < 10
    assert "\n" not in str(error.value)


def test_a_failed_download_is_one_line(tagged: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(published: dict[str, object]) -> str:
        raise RuntimeError("404 Not Found\n\n(Request ID: 1)\nmore")

    monkeypatch.setattr("croftbench.encoders.hub._reachable", lambda url: True)
    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    with pytest.raises(DataError, match=r"could not be downloaded: 404 Not Found") as error:
        encoders.load(tagged)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("encoder_id", "message"),
    [
        ("ViT-B-16/opnai", "Did you mean 'ViT-B-16/openai'?"),
        ("emoji-clip/croftbnch", "Did you mean 'emoji-clip/croftbench'?"),
        ("ViT-B-16", "unknown encoder 'ViT-B-16'"),
        ("ViT-B-61@nowhere.pt", "Did you mean 'ViT-B-16'?"),
        ("qqqqqqq", "croftbench list encoders"),
    ],
)
def test_unknown_names(encoder_id: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        encoders.load(encoder_id)
    assert message in str(error.value)
    assert len(str(error.value)) < 200


def test_weights_that_are_missing_or_do_not_fit(arch: str, tmp_path: Path) -> None:
    (tmp_path / "noise.pt").write_bytes(b"not weights")
    (tmp_path / "noise.safetensors").write_bytes(b"not weights")
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")  # a pickled object, which must not be executed
    for name in ("absent.pt", "noise.pt", "noise.safetensors", "other.safetensors", "module.pt"):
        with pytest.raises(DataError, match=name) as error:
            encoders.load(f"{arch}@{tmp_path / name}")
        assert "\n" not in str(error.value)


def test_available_lists_every_tag() -> None:
    ids = encoders.available()
    assert ids[0] == encoders.EMBEDDED
    assert "ViT-B-16/openai" in ids


def test_identity_follows_the_file(
    arch: str, state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    monkeypatch.chdir(tmp_path)
    encoder_id = f"{arch}@weights.safetensors"
    assert encoders.identity(encoder_id, tmp_path) is None
    known = encoders.load(encoder_id, cache=tmp_path).identity
    assert encoders.identity(encoder_id, tmp_path) == known
    assert [p.suffix for p in (tmp_path / "encoders").iterdir()] == [".json"]

    os.utime(path, ns=(1, 1))  # touched: hashed again, the record follows
    touched = encoders.identity(encoder_id, tmp_path)
    assert touched is not None
    assert (touched.mtime_ns, touched.weights_digest) == (1, known.weights_digest)

    save_file({**state, "logit_scale": state["logit_scale"] + 1}, path)  # other weights of the same size
    assert path.stat().st_size == known.size
    assert encoders.identity(encoder_id, tmp_path) is None
    changed = encoders.load(encoder_id, cache=tmp_path).identity
    assert changed.weights_digest != known.weights_digest

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # the same id is another path here
    assert encoders.identity(encoder_id, tmp_path) is None


def test_identity_of_the_embedded_encoder_follows_its_configuration(embedded: Path, tmp_path: Path) -> None:
    known = encoders.load(encoders.EMBEDDED, cache=tmp_path).identity
    assert encoders.identity(encoders.EMBEDDED, tmp_path) == known
    config = embedded / "open_clip_config.json"
    config.write_text(config.read_text().replace("0.85", "0.5"))
    assert encoders.identity(encoders.EMBEDDED, tmp_path) is None


def test_a_broken_record_is_ignored(embedded: Path, tmp_path: Path) -> None:
    encoders.load(encoders.EMBEDDED, cache=tmp_path)
    (record,) = (tmp_path / "encoders").iterdir()
    for text in ("", "[]", "{}", json.dumps({"id": 3})):
        record.write_text(text)
        assert encoders.identity(encoders.EMBEDDED, tmp_path) is None


def test_an_unwritable_cache_is_no_error(embedded: Path, tmp_path: Path) -> None:
    (tmp_path / "encoders").write_text("a file where the folder should be")
    assert encoders.load(encoders.EMBEDDED, cache=tmp_path).dim == 16


def test_reading_an_identity_imports_neither_torch_nor_open_clip(
    arch: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    encoders.load(f"{arch}@{path}", cache=tmp_path)
    code = (
        "import sys, pathlib\nfrom croftbench import encoders\n"
        f"known = encoders.identity({f'{arch}@{path}'!r}, pathlib.Path({str(tmp_path)!r}))\n"
        "assert known is not None\n"
        "print([m for m in ('torch', 'open_clip', 'torchvision') if m in sys.modules])\n"
        "import croftbench.encoders.transforms as t, croftbench.encoders.clip\n"
        "print([m for m in ('open_clip', 'torchvision') if m in sys.modules], bool(t.test(known).fingerprint()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.stdout.split("\n")[:2] == ["[]", "[] True"], out.stderr
