"""Local features against plain restatements of the published forward passes, on tiny random encoders of both kinds."""

import copy
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor, nn

from croftbench import encoders
from croftbench.encoders import patches
from croftbench.errors import CroftbenchError

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 48, "layers": 3, "width": 32, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}
RESNET = {"image_size": 96, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}


def build(quick_gelu: bool = False, **vision: object) -> Any:
    """A tiny random CLIP in float64, with biases, gains and statistics that are not their neutral initial values."""
    torch.manual_seed(0)
    config = copy.deepcopy(CONFIG)
    config["vision_cfg"] |= vision
    model = open_clip.CLIP(**config, quick_gelu=quick_gelu)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, buffer in model.visual.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn_like(buffer))
    return model.double().eval().requires_grad_(False)


def pixels(size: int) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layer_norm(x: Tensor, norm: Any) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def of_transformer(visual: Any, image: Tensor, quick: bool) -> Tensor:
    """(P, D) places of one image, by a forward pass written out: each head, each place, nothing batched."""

    def gelu(x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x) if quick else nn.functional.gelu(x)

    def block_mlp(block: Any, x: Tensor) -> Tensor:
        hidden = gelu(layer_norm(x, block.ln_2) @ block.mlp.c_fc.weight.T + block.mlp.c_fc.bias)
        return hidden @ block.mlp.c_proj.weight.T + block.mlp.c_proj.bias

    size, width = visual.patch_size[0], visual.class_embedding.shape[0]
    cut = [
        (visual.conv1.weight * image[:, r : r + size, c : c + size]).sum((1, 2, 3))
        for r in range(0, image.shape[1], size)
        for c in range(0, image.shape[2], size)
    ]
    x = layer_norm(torch.stack([visual.class_embedding, *cut]) + visual.positional_embedding, visual.ln_pre)
    *before, last = visual.transformer.resblocks
    for block in before:
        n = layer_norm(x, block.ln_1)
        q, k, v = (
            n @ block.attn.in_proj_weight[i * width : (i + 1) * width].T
            + block.attn.in_proj_bias[i * width : (i + 1) * width]
            for i in range(3)
        )
        step = width // block.attn.num_heads
        heads = []
        for h in range(0, width, step):
            weights = (q[:, h : h + step] @ k[:, h : h + step].T / step**0.5).softmax(-1)
            heads.append(weights @ v[:, h : h + step])
        x = x + torch.cat(heads, -1) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
        x = x + block_mlp(block, x)
    found = []
    for place in x[1:]:  # the class token is no place
        value = layer_norm(place, last.ln_1) @ last.attn.in_proj_weight[2 * width :].T
        value = value + last.attn.in_proj_bias[2 * width :]
        h = place + value @ last.attn.out_proj.weight.T + last.attn.out_proj.bias
        found.append(layer_norm(h + block_mlp(last, h), visual.ln_post) @ visual.proj)
    return torch.stack(found)


@pytest.mark.parametrize("quick", [True, False])
def test_places_of_a_transformer(quick: bool) -> None:
    model, images = build(quick), pixels(48)
    found = patches.encode(model, images)
    assert found.shape == (2, 1 + 9, 16)
    assert torch.equal(found[:, 0], model.encode_image(images))
    for places, image in zip(found[:, 1:], images, strict=True):
        torch.testing.assert_close(places, of_transformer(model.visual, image, quick), rtol=1e-10, atol=1e-10)


def test_places_of_a_resnet() -> None:
    model, images = build(**RESNET), pixels(96)
    visual = model.visual
    found = patches.encode(model, images)
    assert found.shape == (2, 1 + 9, 16)
    assert torch.equal(found[:, 0], model.encode_image(images))
    maps = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))
    pool = visual.attnpool
    for n in range(2):
        for row in range(3):
            for column in range(3):
                value = pool.v_proj.weight @ maps[n, :, row, column] + pool.v_proj.bias
                expected = pool.c_proj.weight @ value + pool.c_proj.bias
                torch.testing.assert_close(found[n, 1 + 3 * row + column], expected, rtol=1e-10, atol=1e-10)


def of_timm(name: str) -> dict[str, object]:
    return {"timm_model_name": name, "timm_model_pretrained": False, "timm_pool": "avg", "timm_proj": "linear"}


def test_places_of_an_averaged_network_of_timm() -> None:
    """The global feature is their mean, and each is the projection of its own place of the last feature map."""
    model, images = build(**of_timm("tf_efficientnet_lite0"), image_size=104, timm_proj_bias=True), pixels(104)
    found = patches.encode(model, images)
    assert found.shape == (2, 1 + 16, 16)
    assert torch.equal(found[:, 0], model.encode_image(images))
    torch.testing.assert_close(found[:, 1:].mean(1), found[:, 0], rtol=1e-10, atol=1e-10)
    maps, last = model.visual.trunk.forward_features(images), model.visual.head.proj
    for place in range(16):
        expected = maps[:, :, place // 4, place % 4] @ last.weight.T + last.bias
        torch.testing.assert_close(found[:, 1 + place], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("vision", [of_timm("lcnet_035"), of_timm("tf_efficientnet_lite0") | {"timm_proj": "mlp"}])
def test_a_network_of_timm_with_more_behind_its_mean_is_refused(vision: dict[str, object]) -> None:
    assert "averaged" in patches.refusal(build(**vision))


def test_a_changed_place_changes_its_own_vector_most() -> None:
    """Places are in reading order: the upper right patch is the third."""
    model, images = build(), pixels(48)
    other = images.clone()
    other[:, :, :16, 32:] += 1
    moved = (patches.encode(model, other) - patches.encode(model, images))[0, 1:].norm(dim=-1)
    assert int(moved.argmax()) == 2


def test_the_embedded_encoder_has_four_places_and_the_same_global_feature() -> None:
    encoder = encoders.load(encoders.EMBEDDED)
    images = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = encoder.encode_patches(images)
    assert found.shape == (5, 1 + 4, encoder.dim)
    assert torch.equal(found[:, 0], encoder.encode_images(images))
    assert not found.requires_grad


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"pool_type": "avg"}, "class token"),
        ({"attentional_pool": True, "attn_pooler_heads": 2}, "class token"),
        ({"qk_norm": True}, "attention blocks"),
    ],
)
def test_other_towers_are_refused_in_one_line(vision: dict[str, object], reason: str) -> None:
    with pytest.raises(CroftbenchError, match=reason) as refusal:
        patches.encode(build(**vision), pixels(48), "some/encoder")
    assert "\n" not in str(refusal.value)
    assert "some/encoder" in str(refusal.value)


def test_a_tower_of_another_library_is_refused() -> None:
    model = build()
    model.visual = nn.Sequential()
    assert patches.refusal(model) == "its image tower is a Sequential"


def test_nothing_is_left_on_the_tower() -> None:
    model = build()
    patches.encode(model, pixels(48))
    assert not model.visual.transformer.resblocks[-1]._forward_pre_hooks
