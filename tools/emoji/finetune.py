"""Train the embedded CLIP `emoji-clip/croftbench-2`: ImageNet's EfficientNet-Lite0, taught to read icons.

    python tools/emoji/pairs.py --output /tmp/pairs
    python tools/emoji/photos.py FOLDER --output /tmp/pairs
    python tools/emoji/finetune.py --pairs /tmp/pairs --imagenet efficientnet-lite0-57934424.pth \
        --wordnet /usr/share/wordnet --output croftbench/embedded/clip-2 --minutes 60

Three losses: `icons`, contrastive on rendered pairs as in train.py; `classes`, which teaches the text tower ImageNet's
names with no image of ImageNet (see `pseudo.py`); `stay`, which keeps features of photographs where ImageNet's network
has them. Batch norms keep ImageNet's statistics, and the first LOW blocks their weights. By the clock: first the
projection (fitted by least squares) and croftbench-1's text tower alone, then all; first small images, which cost
half, then those of the model. An interrupted run goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from glyphs import glyphs
from imagenet import names
from open_clip.tokenizer import SimpleTokenizer
from pseudo import Classes
from safetensors.torch import load_file
from torch import Tensor
from tower import Tower, teacher
from train import CONTEXT, Sampler, encode_text, save, shortened_bpe

HERE = Path(__file__).parent
SIDE, VOCABULARY = 104, 5500
"""Pixels (the smallest multiple of 8 with 4 x 4 places), and tokens."""
ALONE = 0.05
"""Share of the clock at which the image tower begins to move."""
SMALL, GROWN = 80, 0.6
"""Pixels of the first images, and the share of the clock from which they are SIDE."""
BANK = 24
"""Batches whose features of ImageNet's network the projection is first fitted to."""
PHOTOS, OTHERS = 24, 96
"""Squares of photographs, and names that no icon of the batch has, in each batch."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--imagenet", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--start", type=Path, default=HERE.parents[1] / "croftbench/embedded/clip")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--modules", type=Path, default=HERE / "node_modules")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=6e-4, help="of the projection and the text tower")
    parser.add_argument("--lr-image", type=float, default=6e-4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)  # of the text tower; Tower runs chunks side by side, a thread each
    rng = torch.Generator().manual_seed(0)
    args.output.mkdir(parents=True, exist_ok=True)
    pairs = json.loads((args.pairs / "pairs.json").read_text(encoding="utf-8"))["pairs"]
    pixels = np.load(args.pairs / "pixels.npy", mmap_mode="r")
    photos = np.load(args.pairs / "photos.npy")
    classes = names(glyphs(args.modules), args.wordnet)
    bpe = args.output / "bpe.txt.gz"
    spoken = [{"kind": "emoji", "captions": [c["name"]], "keywords": []} for c in classes]
    bpe.write_bytes(gzip.compress(shortened_bpe(pairs + spoken, VOCABULARY).encode(), mtime=0))
    tokenizer = SimpleTokenizer(bpe_path=str(bpe), context_length=CONTEXT)
    config = architecture(tokenizer.vocab_size)
    (args.output / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    model = open_clip.CLIP(**config["model_cfg"])
    original = teacher(args.imagenet, model)
    tower = Tower(model.visual.trunk, args.threads)
    frozen = Tower(original, args.threads)
    image, other = tower.trained(), [p for n, p in model.named_parameters() if not n.startswith("visual.trunk")]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, vocabulary {tokenizer.vocab_size}")
    optimizer = torch.optim.AdamW(
        [{"params": image, "lr": args.lr_image, "weight_decay": 0.0}, {"params": other, "lr": args.lr}],
        betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05,
    )  # fmt: skip
    for group in optimizer.param_groups:
        group["full"] = group["lr"]
    sampler = Sampler(pairs, pixels, tokenizer, args.batch, rng)
    sampler.others = OTHERS
    sampler.mean = sampler.std = torch.full((3, 1, 1), 0.5)
    file = args.output.parent / "finetune.pt"
    inherit(model, tokenizer, args.start)
    drawn = [sampler.draw()[:2] for _ in range(BANK if not file.exists() else 8)]
    bank = torch.cat([frozen.features(grown(images, SIDE)) for images, _ in drawn])
    aim(model, bank, torch.cat([texts for _, texts in drawn]))
    bank = torch.cat([bank, frozen.features(some(photos, 768, SIDE, rng))])
    imagenet = Classes(classes, original.classifier, bank, sampler, rng)

    step, seen, before = 0, 0, 0.0
    if file.exists():
        kept = torch.load(file, weights_only=True)
        model.load_state_dict(kept["model"]), optimizer.load_state_dict(kept["optimizer"])
        step, seen, before = kept["step"], kept["seen"], kept["seconds"]
        rng.manual_seed(step)
    start = saved = time.time()

    def clock() -> float:
        return (before + time.time() - start) / (60 * args.minutes)

    ahead = Ahead(lambda: batch(sampler, imagenet, photos, rng, clock()))
    while (done := clock()) < 1:
        rate(optimizer, done)
        parts = learn(model, tower, frozen, ahead.next(), optimizer)
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        step, seen = step + 1, seen + args.batch
        if step % 20 == 0:
            print(f"step {step} {parts} pairs {seen} done {done:.3f}", flush=True)
        if time.time() - saved > 300:
            saved = time.time()
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seen": seen}
            torch.save({**state, "seconds": before + saved - start}, file.with_suffix(".new"))
            file.with_suffix(".new").replace(file)
            save(model, args.output)
    save(model, args.output)
    print(f"{step} steps, {seen} pairs in {(before + time.time() - start) / 60:.1f} min")


class Ahead:
    """The next batch is drawn while this one is learned from."""

    def __init__(self, draw: Callable[[], Batch]) -> None:
        self.pool, self.draw = ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(1)), draw
        self.drawn: Future[Batch] = self.pool.submit(draw)

    def next(self) -> Batch:
        drawn, self.drawn = self.drawn.result(), self.pool.submit(self.draw)
        return drawn


class Batch(NamedTuple):
    """What one step learns from; without `squares` the image tower stays as it is."""

    images: Tensor
    texts: Tensor
    keys: Tensor
    other_texts: Tensor
    other_keys: Tensor
    pseudo: Tensor
    class_texts: Tensor
    positive: Tensor
    squares: Tensor | None


def batch(sampler: Sampler, imagenet: Classes, photos: np.ndarray, rng: torch.Generator, done: float) -> Batch:
    images, texts, keys, other_texts, other_keys = sampler.draw()
    side = SMALL if done < GROWN else SIDE
    squares = None if done < ALONE else some(photos, PHOTOS, side, rng)
    images = grown(images, side)
    return Batch(images, texts, keys, other_texts, other_keys, *imagenet.draw(other_keys), squares)


def learn(model, tower: Tower, frozen: Tower, drawn: Batch, optimizer) -> str:
    """Gradients of one batch, and its losses as text."""
    images, texts, keys, other_texts, other_keys, pseudo, class_texts, positive, squares = drawn
    n = len(texts)
    run = None if squares is None else tower.begin(torch.cat([images, squares]))
    feature = tower.features(images) if run is None else run.features
    z, about = F.normalize(model.visual.head(torch.cat([feature[:n], pseudo])), dim=-1).split([n, len(pseudo)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        t = F.normalize(encode_text(model, torch.cat([texts, other_texts, class_texts])).float(), dim=-1)
    t, other, named = t.split([n, len(other_texts), len(class_texts)])
    scale, same = model.logit_scale.exp(), keys[:, None] == torch.cat([keys, other_keys])[None, :]
    losses = {
        "icons": both_ways(scale * z @ torch.cat([t, other]).T, same),
        "classes": 0.5 * both_ways(scale * about @ torch.cat([named, other]).T, positive),
    }
    if run is not None:
        was = frozen.features(squares)
        losses["stay"] = 0.5 * F.mse_loss(feature[n:], was) / was.var(0).mean()
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    if run is not None:
        run.backward()
    return " ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())


def both_ways(logits: Tensor, same: Tensor) -> Tensor:
    """Contrastive loss of N images with N texts and further texts; all positives of a row count alike."""
    square = slice(0, len(logits))
    return 0.6 * spread(logits, same) + 0.4 * spread(logits[:, square].T, same[:, square].T)


def architecture(vocabulary: int) -> dict:
    """open_clip's description of the model."""
    return {
        "model_cfg": {
            "embed_dim": 256,
            "vision_cfg": {
                "image_size": SIDE,
                "timm_model_name": "tf_efficientnet_lite0",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "timm_proj_bias": True,
            },
            "text_cfg": {"context_length": CONTEXT, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 2},
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"},
    }


@torch.no_grad()
def inherit(model, tokenizer: SimpleTokenizer, folder: Path) -> None:
    """The text tower of an earlier model, whose merges are CLIP's too; a new token is the mean of its old parts."""
    old = SimpleTokenizer(bpe_path=str(folder / "bpe.txt.gz"), context_length=CONTEXT)
    weights = {k: v.float() for k, v in load_file(folder / "open_clip_model.safetensors").items()}
    table = weights.pop("token_embedding.weight")
    for token, i in tokenizer.encoder.items():
        if token in old.encoder:
            model.token_embedding.weight[i] = table[old.encoder[token]]
        else:
            parts = old.bpe(token.removesuffix("</w>")).split(" ")
            model.token_embedding.weight[i] = table[[old.encoder[p] for p in parts]].mean(0)
    text = {k: v for k, v in weights.items() if not k.startswith("visual.")}
    missing = model.load_state_dict(text, strict=False).missing_keys
    assert all(k.startswith(("visual.", "token_embedding.")) or k == "attn_mask" for k in missing), missing


@torch.no_grad()
def aim(model, features: Tensor, texts: Tensor) -> None:
    """Fit the projection by ridge regression from features to the directions of their captions."""
    t = F.normalize(encode_text(model, texts), dim=-1)
    x, y = features - features.mean(0), t - t.mean(0)
    gram = x.T @ x
    gram += 0.03 * gram.diagonal().mean() * torch.eye(len(gram))
    weight = torch.linalg.solve(gram, x.T @ y).T
    model.visual.head.proj.weight.copy_(weight)
    model.visual.head.proj.bias.copy_(-weight @ features.mean(0))


def rate(optimizer, done: float) -> None:
    """A short rise and a cosine, for the image tower from ALONE on."""
    for group, begin in zip(optimizer.param_groups, (ALONE, 0.0), strict=True):
        way = min(max((done - begin) / (1 - begin), 0), 1)
        group["lr"] = group["full"] * min(1, way / 0.04) * 0.5 * (1 + math.cos(math.pi * way))


def spread(logits: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy with the mass shared among all positives of a row; rows without one do not count."""
    count = same.sum(1)
    each = -(logits.log_softmax(1) * same).sum(1) / count.clamp(min=1)
    return each[count > 0].mean()


def grown(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True).clamp(-1, 1)


def some(photos: np.ndarray, count: int, side: int, rng: torch.Generator) -> Tensor:
    """Random squares of photographs, half of them mirrored: (count, 3, side, side) in [-1, 1]."""
    chosen = torch.randint(len(photos), (count,), generator=rng).numpy()
    x = torch.from_numpy(photos[chosen]).permute(0, 3, 1, 2).float() / 127.5 - 1
    x = torch.where(torch.rand(count, 1, 1, 1, generator=rng) < 0.5, x, x.flip(-1))
    return grown(x, side)


if __name__ == "__main__":
    main()
