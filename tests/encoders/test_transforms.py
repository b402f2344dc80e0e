"""Image transforms: open_clip's own for evaluation, seeded crops for training."""

import dataclasses

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from croftbench.encoders import Identity, transforms

IDENTITY = Identity(
    id="tiny",
    weights="",
    size=0,
    mtime_ns=0,
    weights_digest="",
    config_digest="",
    image_size=(32, 32),
    mean=(0.85, 0.83, 0.81),
    std=(0.27, 0.27, 0.29),
    interpolation="bicubic",
    resize_mode="shortest",
    dim=16,
    logit_scale=100.0,
    open_clip="",
)


def picture(width: int = 97, height: int = 61) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_evaluation_is_that_of_open_clip(resize_mode: str, interpolation: str, size: tuple[int, int]) -> None:
    known = dataclasses.replace(IDENTITY, resize_mode=resize_mode, interpolation=interpolation, image_size=size)
    cfg = PreprocessCfg(size=size, mean=known.mean, std=known.std, interpolation=interpolation, resize_mode=resize_mode)
    theirs = image_transform_v2(cfg, is_train=False)
    for image in (picture(), picture(20, 90), picture(32, 32).convert("L")):
        assert torch.equal(transforms.normalised(transforms.test(known)(image), known), theirs(image))


def test_training_views_repeat_under_a_seed_and_differ_between_seeds() -> None:
    transform = transforms.train(IDENTITY, scale=(0.08, 1.0))
    views = [transform(picture(), seed) for seed in range(8)]
    torch.manual_seed(5)  # the ambient generator plays no part
    assert all(torch.equal(view, transform(picture(), seed)) for seed, view in enumerate(views))
    assert len({view.numpy().tobytes() for view in views}) == 8
    assert {tuple(view.shape) for view in views} == {(3, 32, 32)}
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(transform(picture(), rng), views[0])
    assert not torch.equal(transform(picture(), rng), views[0])


def test_flip_mirrors_half_of_the_views_and_moves_no_crop() -> None:
    mirrored = 0
    for seed in range(60):
        still = transforms.train(IDENTITY, (0.5, 1.0), flip=False)(picture(), seed)
        moved = transforms.train(IDENTITY, (0.5, 1.0), flip=True)(picture(), seed)
        assert torch.equal(moved, still) or torch.equal(moved, still.flip(2))
        mirrored += not torch.equal(moved, still)
    assert 15 < mirrored < 45


@pytest.mark.parametrize(("width", "height"), [(97, 61), (32, 32), (400, 20), (1, 1)])
def test_crops_are_inside_and_of_the_asked_size(width: int, height: int) -> None:
    rng = torch.Generator().manual_seed(0)
    for _ in range(200):
        top, left, h, w = transforms._crop(width, height, (0.25, 1.0), rng)
        assert 0 <= top <= height - h
        assert 0 <= left <= width - w
        assert h > 0 < w
        if (width, height) == (97, 61):
            assert 0.24 < w * h / (width * height) <= 1
            assert 0.73 < w / h < 1.37


def test_fingerprints_name_what_changes_the_pixels() -> None:
    base = transforms.test(IDENTITY).fingerprint()
    other = [
        transforms.test(dataclasses.replace(IDENTITY, **{field: value})).fingerprint()
        for field, value in [
            ("image_size", (64, 64)),
            ("mean", (0.5, 0.5, 0.5)),
            ("std", (0.5, 0.5, 0.5)),
            ("interpolation", "bilinear"),
            ("resize_mode", "squash"),
        ]
    ]
    trains = [
        transforms.train(IDENTITY, scale, flip).fingerprint()
        for scale, flip in [((0.08, 1.0), True), ((0.5, 1.0), True), ((0.08, 1.0), False)]
    ]
    assert len({base, *other, *trains}) == 9
