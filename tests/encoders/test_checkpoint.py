"""Files of weights as people have them: tensors are read, without running code; the rest is named in one line."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from croftbench import encoders
from croftbench.encoders import unpickle
from croftbench.errors import DataError, UsageError

EXTRAS = {"input_resolution": 32, "context_length": 24, "vocab_size": 49408}


class Hostile:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.path}",)


class Node(torch.nn.Module):
    """A module of a TorchScript archive, which has a mask that is no weight, as CLIP's blocks have."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = torch.zeros(3)


def archive(state: dict[str, torch.Tensor], path: Path) -> None:
    """A state dict as OpenAI publishes them: TorchScript, matrices in half precision."""
    root = Node()
    for key, value in state.items():
        at, (*steps, last) = root, key.split(".")
        for step in steps:
            if step not in at._modules:
                at.add_module(step, Node())
            at = at._modules[step]
        half = value.half() if value.ndim > 1 else value
        at.register_parameter(last, torch.nn.Parameter(half, requires_grad=False))
    for key, value in EXTRAS.items():
        root.register_buffer(key, torch.tensor(value))
    root.register_buffer("attn_mask", torch.zeros(24, 24), persistent=False)
    torch.jit.save(torch.jit.script(root), path)


def refusal(path: Path, arch: str = "croftbench-tiny") -> str:
    """The one line on a file that is refused."""
    with pytest.raises(DataError) as error:
        encoders.load(f"{arch}@{path}")
    said = str(error.value)
    assert path.name in said
    assert error.value.hint
    for unwanted in ("\n", "\x1b", "weights_only", " at 0x"):
        assert unwanted not in said
    return said


# ------------------------------------------------------------------------------------------- read


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_openai_archives_are_read_and_use_quick_gelu(arch: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    archive(state, tmp_path / "clip.pt")
    encoder = encoders.load(f"{arch}@{tmp_path / 'clip.pt'}", cache=tmp_path)
    theirs = torch.jit.load(tmp_path / "clip.pt").state_dict()
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, theirs[name].float()), name
    assert type(encoder.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    # The same weights as a plain state dict use the architecture's GELU: other features, so another cache key.
    torch.save({name: theirs[name] for name in state}, tmp_path / "plain.pt")
    plain = encoders.load(f"{arch}@{tmp_path / 'plain.pt'}")
    assert plain.identity.config_digest != encoder.identity.config_digest
    assert not torch.equal(*(e.encode_images(torch.ones(1, 3, 32, 32)) for e in (plain, encoder)))
    # And the state dict of `clip.load(jit=True)`, with its three numbers, is known by them.
    torch.save(theirs, tmp_path / "jit_state.pt")
    saved = encoders.load(f"{arch}@{tmp_path / 'jit_state.pt'}")
    assert saved.identity.config_digest == encoder.identity.config_digest


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before the zip"])
@pytest.mark.parametrize("where", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["module.", "model._orig_mod."])
def test_checkpoints_that_hold_more_than_tensors(
    where: str, prefix: str, zipped: bool, arch: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    held = {
        "epoch": np.float64(3), "args": argparse.Namespace(lr=0.1), "curve": np.arange(3), "seen": {1, 2},
        where: {f"{prefix}{name}": tensor for name, tensor in state.items()},
    }  # fmt: skip
    torch.save(held, tmp_path / "epoch_3.pt", _use_new_zipfile_serialization=zipped)
    loaded = encoders.load(f"{arch}@{tmp_path / 'epoch_3.pt'}").model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_a_whole_module_that_was_pickled(arch: str, tmp_path: Path) -> None:
    model = open_clip.CLIP(**open_clip.get_model_config(arch))
    torch.save(model, tmp_path / "model.pt")
    loaded = encoders.load(f"{arch}@{tmp_path / 'model.pt'}").model.state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before the zip"])
def test_every_kind_of_tensor_comes_back(zipped: bool, tmp_path: Path) -> None:
    base = torch.randn(6, 4)
    tensors = {
        "whole": base, "part": base[2:4, 1:], "turned": base.t(), "half": base.half(), "brain": base.bfloat16(),
        "whole numbers": torch.arange(5), "bytes": torch.arange(5, dtype=torch.uint8), "truth": torch.tensor([True]),
        "none": torch.empty(0), "one": torch.tensor(2.5, dtype=torch.float64), "weight": torch.nn.Parameter(base),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "t.pt", _use_new_zipfile_serialization=zipped)
    read = unpickle.load(tmp_path / "t.pt")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor.detach()), name
        assert read[name].dtype == tensor.dtype


# ------------------------------------------------------------------------------------------- never run


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before the zip"])
def test_no_file_runs_code(zipped: bool, arch: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    made = tmp_path / "made"
    torch.save({"state_dict": state, "evil": Hostile(made)}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert encoders.load(f"{arch}@{tmp_path / 'w.pt'}").dim == 16
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Hostile(made)))
    refusal(tmp_path / "bare.pt")
    assert not made.exists()
    pickle.loads((tmp_path / "bare.pt").read_bytes())  # that it would have
    assert made.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'touch made'\ntR.",  # a call
        b"(S'touch made'\nios\nsystem\n.",  # an instance
        b"c__builtin__\ngetattr\n(cos\nS'system'\ntR(S'touch made'\ntR.",  # an attribute of a module
        b'cbuiltins\neval\n(S\'__import__("os").system("touch made")\'\ntR.',
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}S'__globals__'\nNsb.",  # an attribute of one of ours
    ],
)
def test_pickles_call_nothing_by_any_opcode(
    code: bytes, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as file:
        file.writestr("archive/data.pkl", code)
        file.writestr("archive/constants.pkl", b"")
        file.writestr("archive/version", b"3\n")
    refusal(tmp_path / "w.pt")
    assert not (tmp_path / "made").exists()


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(arch: str, tmp_path: Path) -> None:
    torch.save({"w": torch.arange(4.0)}, tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as good, zipfile.ZipFile(tmp_path / "w.pt", "w") as bad:
        for entry in good.namelist():
            data = good.read(entry)
            bad.writestr(entry, data.replace(b"K\x04\x85", b"K\x63\x85") if entry.endswith("data.pkl") else data)
        bad.writestr("good/constants.pkl", b"")
    assert "bounds" in refusal(tmp_path / "w.pt")


# ------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 605143316\n", "git lfs pull"),
        (b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\r\noid sha256:00\r\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"<HTML><body>404</body></HTML>", "web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
        (b"\x1f\x8b\x08 gzip", "archive"),
        (b"PK\x03\x04" + bytes(500), "cut short"),
        (b"\x80\x02}q\x00.", "PyTorch"),
        (b"not weights", "PyTorch"),
    ],
)
@pytest.mark.parametrize("name", ["weights.pt", "weights.bin"])
def test_what_is_no_file_of_weights_is_named(name: str, content: bytes, says: str, arch: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in refusal(tmp_path / name)


def test_files_that_are_cut_short(arch: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "zip.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "w.safetensors")
    for name in ("zip.pt", "old.pt", "w.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for share in (0.01, 0.5, 0.999):
            (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
            assert "cut short" in refusal(tmp_path / name)


def test_files_under_a_wrong_name_and_in_another_layout(
    arch: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "torch.safetensors")
    assert ".pt" in refusal(tmp_path / "torch.safetensors")
    save_file(state, tmp_path / "w.safetensors")
    assert ".safetensors" in refusal((tmp_path / "w.safetensors").rename(tmp_path / "safe.pt"))
    theirs = {"vision_model.embeddings.weight": torch.ones(2), "text_model.embeddings.weight": torch.ones(2)}
    save_file(theirs, tmp_path / "model.safetensors")
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    for name in ("model.safetensors", "pytorch_model.bin"):
        assert "transformers" in refusal(tmp_path / name)
    torch.save({"epoch": 3}, tmp_path / "nothing.pt")
    assert "no state dict" in refusal(tmp_path / "nothing.pt")
    (tmp_path / "folder").mkdir()
    assert "local-dir:" in refusal(tmp_path / "folder")


def test_weights_of_another_architecture_are_counted(arch: str, tmp_path: Path) -> None:
    other = open_clip.CLIP(**{**open_clip.get_model_config(arch), "embed_dim": 8}).state_dict()
    other["own.weight"] = other.pop("logit_scale")
    torch.save(other, tmp_path / "other.pt")
    said = refusal(tmp_path / "other.pt")
    assert "1 tensors are missing (logit_scale)" in said
    assert "1 tensors are not the architecture's (own.weight)" in said
    assert "of another shape (text_projection: [32, 8], not [32, 16])" in said


def test_known_weights_under_another_name_are_refused(
    arch: str, state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known by the digest in the address that open_clip downloads them from."""
    torch.save(state, tmp_path / "w.pt")
    digest = encoders.load(f"{arch}@{tmp_path / 'w.pt'}").weights_digest
    published = {"url": f"https://github.com/mlfoundations/w-{digest[:8]}.pt", "mean": (0.5, 0.5, 0.5)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-B-32", {"mine": published})
    with pytest.raises(UsageError, match="holds ViT-B-32/mine, not a croftbench-tiny"):
        encoders.load(f"{arch}@{tmp_path / 'w.pt'}")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, arch, {"mine": {**published, "quick_gelu": True}})
    monkeypatch.delitem(open_clip.pretrained._PRETRAINED, "ViT-B-32")
    known = encoders.load(f"{arch}@{tmp_path / 'w.pt'}")
    assert known.identity.mean == (0.5, 0.5, 0.5)
    assert type(known.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
