"""CLIP-LoRA against open_clip's own towers whose weights are changed, and AdamW by hand."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from croftbench.encoders import blocks
from croftbench.methods.clip_lora import CLIPLoRA
from croftbench.methods.zero_shot import ZeroShot
from croftbench.training import Recipe

RATE, S = 0.01, 20.0


def changed(model, weights):
    """A copy of the model whose attention weights are W + B A / sqrt(r), differentiably."""
    model = copy.deepcopy(model)
    for tower, (A, B) in zip((model.visual.transformer, model.transformer), weights, strict=True):
        for layer, block in enumerate(tower.resblocks):
            low = torch.cat([B[layer, part] @ A[layer, part] for part in range(3)]) / math.sqrt(A.shape[2])
            full = block.attn.in_proj_weight + low
            del block.attn.in_proj_weight
            block.attn.in_proj_weight = full
    return model


def classified(seeing, task, weights, x):
    model = changed(seeing.model, weights)
    z = model.encode_image(x)
    t = model.encode_text(seeing.tokenizer([f"a photo of a {name.replace('_', ' ')}." for name in task.classnames]))
    return S * (z / z.norm(dim=1, keepdim=True)) @ (t / t.norm(dim=1, keepdim=True)).T


def started(rng, towers):
    """A uniform on +-1 / sqrt(W), B zero; the image tower's is drawn first."""
    for tower in towers:
        A = 2 * torch.rand(tower.blocks, 3, 2, tower.width, generator=rng, dtype=torch.float64) - 1
        yield A / math.sqrt(tower.width), torch.zeros(tower.blocks, 3, tower.width, 2, dtype=torch.float64)


def test_four_steps_restated(seeing, pixel_task, measured):
    """Two passes of two batches each, without dropout; rates fall from step to step to last_lr."""
    rng = pixel_task.generator()
    weights = list(started(rng, (pixel_task.towers.image, pixel_task.towers.text)))
    flat = [w for pair in weights for w in pair]
    moments, losses, step = [[torch.zeros_like(w), torch.zeros_like(w)] for w in flat], [], 0
    for view in range(2):
        order = torch.randperm(6, generator=rng)
        for rows in (order[:4], order[4:]):
            leaves = [w.requires_grad_() for w in flat]
            logits = classified(seeing, pixel_task, list(zip(leaves[::2], leaves[1::2], strict=True)),
                                pixel_task.train.batch(view, rows))  # fmt: skip
            loss = cross_entropy(logits, pixel_task.train.labels[rows])
            losses.append(loss.item())
            rate = 1e-6 + (RATE - 1e-6) * (1 + math.cos(math.pi * step / 4)) / 2
            step += 1
            flat = []
            for w, g, (m, v) in zip(leaves, torch.autograd.grad(loss, leaves), moments, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                kept = w.detach() * (1 - rate * 0.01)
                flat.append(kept - rate * m / (1 - 0.9**step) / ((v / (1 - 0.999**step)).sqrt() + 1e-8))
    seen = []
    watched = replace(pixel_task, on_epoch=lambda *at: seen.append(at[2]))
    method = CLIPLoRA(dropout=0.0, steps=0, recipe=replace(CLIPLoRA().recipe, epochs=2, batch=4, lr=RATE))
    x = pixel_task.train.batch(0, torch.arange(6))
    predictor = method.fit(watched)
    with torch.no_grad():
        expected = classified(seeing, pixel_task, list(zip(flat[::2], flat[1::2], strict=True)), x)
        measured("clip-lora", predictor(x).logits, expected)
    assert seen == pytest.approx([sum(losses[:2]) / 2, sum(losses[2:]) / 2], rel=1e-9)


def short(**changes):
    recipe = {"epochs": 3, "batch": 6, "lr": RATE, "optimiser": "adamw", "warmup": 0, "schedule": "step"}
    return CLIPLoRA(steps=0, recipe=Recipe(**recipe), **changes)


def test_it_starts_at_zero_shot(pixel_task):
    x = pixel_task.train.batch(0, torch.arange(6))
    plain = ZeroShot().fit(pixel_task)(pixel_task.train.views[0])
    method = CLIPLoRA(steps=0, recipe=replace(CLIPLoRA().recipe, epochs=1, lr=1e-99, last_lr=0.0))
    torch.testing.assert_close(method.fit(pixel_task)(x).logits, plain.logits)


def test_dropout_is_the_same_when_the_backward_pass_asks_again(pixel_task, monkeypatch):
    """In micro-batches of one image, whose blocks are computed twice, masks differ from image to image."""
    x = pixel_task.train.batch(0, torch.arange(6))
    at_once = short(dropout=0.5).fit(pixel_task)(x).logits
    assert torch.equal(at_once, short(dropout=0.5).fit(pixel_task)(x).logits)
    assert not torch.allclose(at_once, short(dropout=0.0).fit(pixel_task)(x).logits)
    exact = short(dropout=0.0).fit(pixel_task)(x).logits
    monkeypatch.setattr(blocks, "KEPT", 1)
    torch.testing.assert_close(short(dropout=0.0).fit(pixel_task)(x).logits, exact)
    in_parts = short(dropout=0.5).fit(pixel_task)(x).logits
    assert torch.equal(in_parts, short(dropout=0.5).fit(pixel_task)(x).logits)


def test_other_names_are_read_by_the_changed_text_tower(pixel_task):
    predictor, x = short().fit(pixel_task), pixel_task.train.batch(0, torch.arange(6))
    names = (pixel_task.classnames[2], pixel_task.classnames[0])
    renamed = predictor.with_classes(names, pixel_task.text[[2, 0]])
    torch.testing.assert_close(renamed(x).logits, predictor(x).logits[:, [2, 0]])


def test_published_defaults_and_steps():
    method = CLIPLoRA()
    asked = method.recipe
    assert (method.r, method.alpha, method.dropout, asked.lr, asked.weight_decay) == (2, 1.0, 0.25, 2e-4, 0.01)
    assert method.passes(images=16 * 47, classes=47) * 24 == 8016  # 500 x 16, to the end of a pass of 24 batches
