"""What a method sees of an image tower, against open_clip's own forward pass: in values, in gradients, in memory."""

import copy

import open_clip
import pytest
import torch

from croftbench.encoders import blocks, clip, image_tower, patches, text_tower, unprojected
from croftbench.encoders.identity import NEEDS
from croftbench.encoders.image_tower import PixelTower, refusal
from croftbench.encoders.text_tower import PromptTower
from croftbench.errors import CroftbenchError
from croftbench.method import Inside, Towers

WIDTH, DIM, DEEP = 32, 16, 1
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 3}
VIT = {"image_size": 32, "layers": 3, "width": WIDTH, "head_width": 16, "patch_size": 16}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
TIMM = {"image_size": 64, "timm_model_name": "resnet18", "timm_model_pretrained": False, "timm_pool": "avg"}
TIMM |= {"timm_proj": "linear", "timm_proj_bias": True}


def build(vision=VIT, kind="clip"):
    torch.manual_seed(0)
    make = open_clip.CLIP if kind == "clip" else open_clip.CustomTextCLIP
    model = make(embed_dim=DIM, vision_cfg=vision, text_cfg=TEXT, quick_gelu=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.double().eval().requires_grad_(False)


def pixels(images=5, size=32):
    return torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def tensor(*shape, seed=2):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_unchanged_it_is_the_encoder():
    model = build()
    assert torch.allclose(PixelTower(model).encode(pixels()), model.encode_image(pixels()), rtol=0, atol=1e-13)


def open_clips_own(model, x, deep, low):
    """Prompts behind the patches, other ones from block DEEP on, and keys changed by `low`: with hooks and weights."""
    visual = copy.deepcopy(model.visual)
    n = len(deep)
    hooks = [
        visual.ln_pre.register_forward_pre_hook(lambda m, a: torch.cat([a[0], x[1].expand(len(a[0]), -1, -1)], 1)),
        visual.transformer.resblocks[DEEP].register_forward_pre_hook(
            lambda m, a: (torch.cat([a[0][:, :-n], deep.expand(len(a[0]), -1, -1)], 1), *a[1:])
        ),
    ]
    for block in visual.transformer.resblocks:
        changed = block.attn.in_proj_weight.clone()
        changed[WIDTH : 2 * WIDTH] += low
        del block.attn.in_proj_weight
        block.attn.in_proj_weight = changed
    found = visual(x[0])
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("kept", [2**31, 1])
def test_prompts_and_attention_change_as_with_hooks_on_open_clip(kept, monkeypatch):
    """At once, and in micro-batches of one image that the backward pass computes again."""
    monkeypatch.setattr(blocks, "KEPT", kept)
    model, n, seen = build(), 2, []
    tower = PixelTower(model)
    weight = tensor(5, DIM, seed=9)

    def ours(prompts, deep, low):
        def tokens(layer, rows, x):
            seen.append(rows)
            return torch.cat([x[:, :-n], deep.expand(len(x), -1, -1)], 1) if layer == DEEP else x

        def attention(layer, rows, y):
            return torch.cat([torch.zeros_like(y), y @ low.T, torch.zeros_like(y)], -1)

        return tower.encode(pixels(), prompts, Inside(tokens, attention))

    def theirs(prompts, deep, low):
        return open_clips_own(model, (pixels(), prompts), deep, low)

    found = []
    for encode in (ours, theirs):
        leaves = [tensor(n, WIDTH), tensor(n, WIDTH, seed=3), 0.1 * tensor(WIDTH, WIDTH, seed=4)]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        out = encode(*leaves)
        found.append([out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)])
    for a, b in zip(*found, strict=True):
        assert (a - b).abs().max() <= 1e-11 * (1 + b.abs().max())
    assert {(rows.start, rows.stop) for rows in seen} == ({(0, 5)} if kept > 1 else {(i, i + 1) for i in range(5)})


@pytest.mark.parametrize("kept", [2**31, 1])
def test_text_prompts_with_changes_inside(kept, monkeypatch):
    """Without any they are the prompt path's; deep tokens are those of open_clip with hooks on its blocks."""
    monkeypatch.setattr(blocks, "KEPT", kept)
    model = build()
    tower = PromptTower(model, open_clip.SimpleTokenizer(context_length=24))
    rest, end = tower.tokens(["dog.", "a spotted salamander.", "hook and loop fastener tape."])
    shared = torch.cat([tower.start(), tensor(2, 32)])
    same = tower.encode(shared, rest, end, Inside())
    assert torch.allclose(same, tower.encode(shared, rest, end), rtol=0, atol=1e-13)
    deep = tensor(3, 2, 32, seed=5).requires_grad_()

    def tokens(layer, rows, x):
        return torch.cat([x[:, :1], deep[rows], x[:, 3:]], 1) if layer == DEEP else x

    found = tower.encode(shared, rest, end, Inside(tokens))
    context = torch.cat([shared.expand(3, -1, -1), rest], 1)
    padding = model.token_embedding(torch.zeros(3, 24 - context.shape[1], dtype=torch.long))
    x = torch.cat([context, padding], 1) + model.positional_embedding
    for layer, block in enumerate(model.transformer.resblocks):
        block_in = torch.cat([x[:, :1], deep, x[:, 3:]], 1) if layer == DEEP else x
        x = block(block_in, attn_mask=model.attn_mask)
    expected = model.ln_final(x)[torch.arange(3), len(shared) + end] @ model.text_projection
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    mine, theirs = (torch.autograd.grad(out.square().sum(), deep)[0] for out in (found, expected))
    assert (mine - theirs).abs().max() <= 1e-11 * (1 + theirs.abs().max())


def test_whatever_is_done_to_the_copy_the_encoder_stays_as_it_is():
    model = build()
    before = model.encode_image(pixels())
    tower = PixelTower(model)
    for parameter in tower._visual.parameters():
        parameter.zero_()
    assert torch.equal(model.encode_image(pixels()), before)


@pytest.mark.parametrize(("vision", "size"), [(VIT, 32), (RESNET, 64), (TIMM, 64)])
def test_what_comes_before_the_projection_gives_the_feature(vision, size):
    model = build(vision)
    before, last = unprojected.encode(model, pixels(3, size)), unprojected.projection(model)
    assert last.weight.shape == (before.shape[1], DIM)
    assert torch.allclose(last(before), model.encode_image(pixels(3, size)), rtol=0, atol=1e-12)


def test_places_before_the_projection_are_the_places_it_is_applied_to():
    model = build()
    before, last = unprojected.encode_patches(model, pixels()), unprojected.projection(model)
    assert before.shape == (5, 1 + 4, WIDTH)
    assert torch.equal(before[:, 0], unprojected.encode(model, pixels()))
    assert torch.allclose(last(before), patches.encode(model, pixels()), rtol=0, atol=1e-13)
    assert not model.visual.transformer.resblocks[-1]._forward_pre_hooks


def test_what_a_tower_lacks_of_places_before_a_projection_is_said_in_one_line():
    """Of convolutional towers, and of a transformer that ends without one; in what an encoder says of itself, too."""
    reasons = {"ModifiedResNet": RESNET, "TimmModel": TIMM}
    for kind, vision in reasons.items():
        model = build(vision)
        assert unprojected.patches_refusal(model) == f"its image tower is a {kind}"
        assert not unprojected.refusal(model)
        assert clip._lacks(model) == tuple(
            f"{need}: its image tower is a {kind}" for need in NEEDS if need in ("image=tower", NEEDS[-1])
        )
    with pytest.raises(CroftbenchError, match="some/encoder has no places before a projection: its image tower is a T"):
        unprojected.encode_patches(model, pixels(), "some/encoder")
    model = build()
    assert clip._lacks(model) == ()
    model.visual.proj = None
    assert unprojected.patches_refusal(model) == "its image tower ends without a projection"
    assert patches.encode(model, pixels())[:, 1:].shape == (5, 4, WIDTH)


def test_a_resnet_is_refused_in_one_line_and_towers_are_guarded():
    model = build(RESNET)
    assert refusal(model) == "its image tower is a ModifiedResNet"
    assert refusal(build(TIMM)) == "its image tower is a TimmModel"
    with pytest.raises(CroftbenchError, match="some/encoder cannot be trained through: its image tower is a Mod"):
        PixelTower(model, "some/encoder")
    with pytest.raises(CroftbenchError, match=r'Needs\(image="tower"\)'):
        _ = Towers().image
    with pytest.raises(CroftbenchError, match=r'Needs\(image="unprojected"\)'):
        _ = Towers().projection


def test_in_half_precision_what_comes_out_is_as_it_went_in(monkeypatch):
    """What CUDA computes training steps in, here on a CPU."""
    for module in (image_tower, text_tower):
        monkeypatch.setattr(module, "half_on_cuda", lambda device: torch.autocast("cpu", torch.bfloat16))
    model = build().float()
    tower, prompts = PixelTower(model), torch.zeros(2, WIDTH, requires_grad=True)
    x = pixels().float()
    found, exact = tower.encode(x, prompts), build().encode_image(pixels())
    found.sum().backward()
    assert found.dtype == prompts.grad.dtype == torch.float32
    assert 0 < (PixelTower(model).encode(x) - exact).abs().max() < 0.1 * exact.abs().max()
    words = PromptTower(model, open_clip.SimpleTokenizer(context_length=24))
    assert words.encode(words.start(), *words.tokens(["dog."]), Inside()).dtype == torch.float32
