"""Pixels of weights on disk: who states them, who wins, what is said of doubts; runs are told apart by them."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from croftbench import encoders
from croftbench.api import plans
from croftbench.errors import CroftbenchError, DataError, UsageError
from croftbench.progress import Silent

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "interpolation": "bilinear", "resize_mode": "squash"}
DARK = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bicubic", "resize_mode": "shortest"}


class Notes(Silent):
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def named(arch: str, state: dict[str, torch.Tensor], tmp_path: Path) -> str:
    """The id of weights on disk, alone in their folder."""
    (tmp_path / "w").mkdir()
    save_file(state, tmp_path / "w/w.safetensors")
    return f"{arch}@{tmp_path / 'w/w.safetensors'}"


@pytest.fixture
def publish(arch: str, monkeypatch: pytest.MonkeyPatch):
    """Let open_clip publish weights of the architecture, by tag."""

    def publish(**tags: dict[str, object]) -> None:
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, arch, tags)

    return publish


def pixels(encoder_id: str, preprocess: str = "") -> dict[str, object]:
    identity = encoders.load(encoder_id, preprocess=preprocess).identity
    return {key: getattr(identity, key) for key in HALF}


def test_an_architecture_has_the_pixels_of_its_published_weights(named: str, publish) -> None:
    publish(a=HALF, b=HALF)
    identity = encoders.load(named).identity
    assert pixels(named) == HALF
    assert identity.origin == "all of open_clip's published weights of croftbench-tiny"
    assert not identity.doubts
    assert "mean=0.5,0.5,0.5" in identity.told and "resize=squash" in identity.told


def test_where_published_weights_differ_most_decide_and_the_others_are_named(named: str, publish) -> None:
    publish(a=HALF, b=DARK, c=HALF)
    identity = encoders.load(named).identity
    assert pixels(named) == HALF
    assert "croftbench-tiny/b want others" in identity.told
    assert pixels(named, "croftbench-tiny/b") == DARK


def test_an_architecture_without_published_weights_is_in_doubt(named: str) -> None:
    identity = encoders.load(named).identity
    assert identity.origin == "open_clip's defaults"
    assert "publishes no weights of croftbench-tiny" in identity.told


@pytest.mark.parametrize("arch", sorted({arch for arch, _ in open_clip.list_pretrained()}))
def test_every_architecture_of_open_clip_has_pixels_of_its_own_tags(arch: str) -> None:
    from croftbench.encoders import preprocess

    choice = preprocess.of_architecture(arch)
    assert choice.values.keys() >= preprocess.NEEDED
    tags = [preprocess.of_tag(f"{arch}/{tag}") for tag in open_clip.list_pretrained_tags_by_model(arch)]
    assert choice.values in tags
    assert bool(choice.doubt) == any(tag != choice.values for tag in tags)


def test_open_clips_configuration_beside_the_weights_wins(named: str, publish, tmp_path: Path) -> None:
    publish(a=HALF)
    model = open_clip.get_model_config("croftbench-tiny")
    described = {"model_cfg": model, "preprocess_cfg": {**DARK, "size": [32, 32], "mode": "RGB", "fill_color": 0}}
    (tmp_path / "w/open_clip_config.json").write_text(json.dumps(described), encoding="utf-8-sig")
    assert pixels(named) == DARK
    # One of another architecture is not of these weights.
    (tmp_path / "w/open_clip_config.json").write_text(json.dumps({**described, "model_cfg": {**model, "embed_dim": 8}}))
    assert pixels(named) == HALF
    assert "another architecture" in encoders.load(named).identity.told


def test_the_activation_beside_the_weights_is_held_against_the_name(named: str, tmp_path: Path) -> None:
    model = open_clip.get_model_config("croftbench-tiny")
    described = {"model_cfg": {**model, "quick_gelu": True}, "preprocess_cfg": HALF}
    (tmp_path / "w/open_clip_config.json").write_text(json.dumps(described))
    with pytest.raises(
        UsageError, match=r"croftbench-tiny uses GELU, .* with QuickGELU\. .*croftbench-tiny-quickgelu@"
    ):
        encoders.load(named)


def test_a_name_with_two_activations_is_asked_about(
    named: str, arch: str, monkeypatch: pytest.MonkeyPatch, state: dict[str, torch.Tensor]
) -> None:
    quick = {**open_clip.get_model_config(arch), "quick_gelu": True}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, f"{arch}-quickgelu", quick)
    assert "need --encoder croftbench-tiny-quickgelu@" in encoders.load(named).identity.told
    assert "GELU" not in encoders.load(named.replace("@", "-quickgelu@")).identity.told


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (
            {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 32},
             "resample": 3},
            {"resize_mode": "shortest", "interpolation": "bicubic"},
        ),
        ({"do_center_crop": True, "crop_size": 32, "size": 32, "resample": 2}, {"resize_mode": "shortest"}),
        ({"size": {"height": 32, "width": 32}, "resample": 2, "rescale_factor": 1 / 255}, {"resize_mode": "squash"}),
    ],
)  # fmt: skip
def test_transformers_configuration_beside_the_weights(
    stated: dict[str, object], expected: dict[str, str], named: str, tmp_path: Path
) -> None:
    text = json.dumps({"image_mean": HALF["mean"], "image_std": HALF["std"], **stated})
    (tmp_path / "w/preprocessor_config.json").write_text(text)
    assert pixels(named) == {**HALF, **expected}


def test_what_transforms_cannot_do_is_refused_unless_pixels_are_given(named: str, publish, tmp_path: Path) -> None:
    text = json.dumps(
        {"image_mean": HALF["mean"], "image_std": HALF["std"], "size": {"shortest_edge": 40}, "resample": 0}
    )
    (tmp_path / "w/preprocessor_config.json").write_text(text)
    with pytest.raises(DataError, match=r"preprocessor_config\.json describes steps"):
        encoders.load(named)
    publish(a=DARK)
    assert pixels(named, "croftbench-tiny/a") == DARK


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", json.dumps(HALF)),
        ("p.toml", 'mean=[0.5,0.5,0.5]\nstd=[0.5,0.5,0.5]\ninterpolation="bilinear"\nresize_mode="squash"\n'),
        ("open_clip_config.json", json.dumps({"preprocess_cfg": HALF})),
    ],
)
def test_a_file_that_is_asked_for(name: str, text: str, named: str, publish, tmp_path: Path) -> None:
    publish(a=DARK)
    (tmp_path / name).write_text(text)
    assert pixels(named, str(tmp_path / name)) == HALF


def test_a_file_may_state_a_part_and_another_size(named: str, publish, tmp_path: Path) -> None:
    publish(a=DARK)
    (tmp_path / "p.json").write_text('{"resize_mode": "squash", "size": 64}')
    encoder = encoders.load(named, preprocess=str(tmp_path / "p.json"))
    assert pixels(named, str(tmp_path / "p.json")) == {**DARK, "resize_mode": "squash"}
    assert encoder.identity.image_size == (64, 64)
    assert encoder.encode_images(torch.zeros(1, 3, 64, 64)).shape == (1, 16)
    assert "interpolated" in encoder.identity.told
    assert encoder.identity.origin.startswith("--preprocess ")
    assert encoder.identity.origin.endswith("all of open_clip's published weights of croftbench-tiny")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.json", '{"mean": [124, 116, 104]}', "mean = .* three numbers from 0 to 1"),
        ("p.json", '{"std": [0, 0.5, 0.5]}', "std"),
        ("p.json", '{"interpolation": "lanczos"}', "bicubic or bilinear"),
        ("p.json", '{"resize": "squash"}', "'resize' is no setting"),
        ("p.json", '{"size": "224"}', "size"),
        ("p.json", '{"fill_color": 255}', "fill_color"),
        ("p.json", "[1]", "holds no settings"),
        ("p.toml", "mean=", "p.toml:1: not valid TOML"),
        ("absent.json", None, "there is no file"),
        ("ViT-B/16", None, "ViT-B-16/openai"),
    ],
)
def test_what_is_asked_for_and_cannot_be(name: str, text: str | None, says: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(CroftbenchError, match=says) as error:
        encoders.load(named, preprocess=str(path) if text is not None or path.suffix else name)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_the_record_follows_what_the_pixels_were_taken_from(named: str, publish, tmp_path: Path) -> None:
    publish(a=DARK)
    asked = tmp_path / "p.json"
    asked.write_text(json.dumps(HALF))
    plain = encoders.load(named, cache=tmp_path).identity
    other = encoders.load(named, cache=tmp_path, preprocess=str(asked)).identity
    assert encoders.identity(named, tmp_path) == plain
    assert encoders.identity(named, tmp_path, str(asked)) == other
    assert plain.transform != other.transform
    asked.write_text(json.dumps({**HALF, "resize_mode": "longest"}))
    assert encoders.identity(named, tmp_path, str(asked)) is None
    (tmp_path / "w/open_clip_config.json").write_text(json.dumps({"preprocess_cfg": HALF}))
    assert encoders.identity(named, tmp_path) is None


def test_what_was_chosen_is_noted_each_time_and_only_where_it_is_not_known(
    named: str, embedded, tmp_path: Path
) -> None:
    for _ in range(2):  # loaded, then from the record
        sink = Notes()
        plans.identity_of(named, tmp_path, sink)
        assert "mean=0.48145466,0.4578275,0.40821073" in sink.notes[-1]
        assert "\n" not in sink.notes[-1]
    sink = Notes()
    plans.identity_of(encoders.EMBEDDED, tmp_path, sink)
    assert not any("mean=" in note for note in sink.notes)
