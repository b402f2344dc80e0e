"""The figures of a model card: zero-shot accuracy of shipped encoders on glyphs, and on photographs found on the disk.

    python tools/emoji/measure.py emoji-clip/croftbench emoji-clip/croftbench-2 \
        --stamps /usr/share/tuxpaint/stamps --fashion /usr/share/datasets/fashion-mnist

Photographs are read where they are installed and not shipped (Debian: tuxpaint-stamps-default, GPL;
dataset-fashion-mnist, MIT). Not for use while an encoder is trained: `--styles` alone leaves out what is a test.
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
import struct
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from glyphs import glyphs
from PIL import Image
from torch.nn.functional import normalize

from croftbench import encoders
from croftbench.encoders import transforms

TEMPLATES = ("a {}.", "the {}", "an icon of a {}.", "a drawing of a {}.", "a picture of a {}.", "an emoji of a {}.")
PHOTO_TEMPLATES = ("a {}.", "a photo of a {}.", "a photo of the {}.", "a picture of a {}.")
ROLES = {
    "twemoji": "ID test",
    "fluent-emoji": "covariate: shaded",
    "fluent-emoji-high-contrast": "covariate: line art",
    "emojione-monotone": "covariate: silhouette",
    "noto-v1": "covariate: vintage",
    "noto": "training",
    "fluent-emoji-flat": "training",
    "emojione": "training",
}
OBJECTS = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")
GARMENTS = ("t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
DRAWN = {"cartoon", "symbols", "people", "roadsigns", "flags", "graves", "hanukkah", "planets"}
"""Folders of stamps that are drawings, or name no object."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="+")
    parser.add_argument(
        "--images", type=Path, default=Path(__file__).parents[2] / "croftbench/embedded/emoji/images.parquet"
    )
    parser.add_argument("--styles", nargs="*", default=list(ROLES))
    parser.add_argument("--modules", type=Path, default=Path(__file__).parent / "node_modules")
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--fashion", type=Path)
    args = parser.parse_args()
    rows = [r for r in pq.read_table(args.images).to_pylist() if r["group"] in OBJECTS]
    names = sorted({r["name"] for r in rows})
    for encoder_id in args.encoders:
        encoder = encoders.load(encoder_id)
        print(f"# {encoder_id}, logit scale {encoder.logit_scale:.1f}")
        top1 = {}
        text = class_features(encoder, names, TEMPLATES)
        for style in args.styles:
            mine = [r for r in rows if r["style"] == style]
            images = [Image.open(io.BytesIO(r["image"])) for r in mine]
            labels = [names.index(r["name"]) for r in mine]
            top1[style] = report(encoder, text, images, labels, f"{style} | {ROLES[style]}")
        covariate = [top1[s] for s in args.styles if ROLES[s].startswith("covariate")]
        if covariate:
            print(f"mean of the covariate styles | | {sum(covariate) / len(covariate):.1%}")
        if args.stamps:
            images, labels, known = stamps(args.stamps, args.modules)
            text = class_features(encoder, known, PHOTO_TEMPLATES)
            report(encoder, text, images, labels, f"Tux Paint stamps, {len(known)} names | photographs")
        if args.fashion:
            images, labels = fashion(args.fashion)
            text = class_features(encoder, list(GARMENTS), PHOTO_TEMPLATES)
            report(encoder, text, images, labels, "Fashion-MNIST, 10 names | photographs")


def class_features(encoder, names: list[str], templates: tuple[str, ...]) -> torch.Tensor:
    """(C, D) unit vectors, each the mean over templates."""
    each = [normalize(encoder.encode_texts([t.format(n) for n in names]), dim=-1) for t in templates]
    return normalize(torch.stack(each).mean(0), dim=-1)


def report(encoder, text: torch.Tensor, images: list[Image.Image], labels: list[int], what: str) -> float:
    transform = transforms.test(encoder.identity)
    truth, top = torch.tensor(labels), []
    for i in range(0, len(images), 64):
        pixels = torch.stack([transform(image.convert("RGB")) for image in images[i : i + 64]])
        logits = normalize(encoder.encode_images(pixels), dim=-1) @ text.T
        top.append(logits.topk(5).indices)
    hit = torch.cat(top) == truth[:, None]
    first, five = hit[:, 0].float().mean().item(), hit.any(1).float().mean().item()
    print(f"{what} | {first:.1%} | {five:.1%} | {len(labels)} images", flush=True)
    return first


def stamps(folder: Path, modules: Path) -> tuple[list[Image.Image], list[int], list[str]]:
    """Cut-out photographs that a glyph's name or alias names, on white squares; their labels; the names that occur.

    A file counts by its whole name, else by its last or first word ("cat_siamese"); names go without "face".
    """
    plain = {}
    for glyph in reversed(glyphs(modules)):
        if glyph.group in OBJECTS:
            for name in (*glyph.aliases, glyph.name):
                plain[re.sub("[^a-z]", "", name.lower().replace(" face", ""))] = glyph.name.replace(" face", "")
    found = []
    for path in sorted(folder.rglob("*.png")):
        if DRAWN & {*path.relative_to(folder).parts} or path.stem.endswith("_mirror"):
            continue
        parts = [w for w in re.split("[^a-z]+", re.sub("^t_", "", path.stem.lower())) if w]
        tries = ["".join(parts), *parts[-1:], *parts[:1]]
        if name := next((plain[t] for t in tries if t in plain), None):
            found.append((path, name))
    known = sorted({name for _, name in found})
    images = []
    for path, _ in found:
        image = Image.open(path).convert("RGBA")
        canvas = Image.new("RGBA", (max(image.size),) * 2, "white")
        canvas.alpha_composite(image, ((canvas.width - image.width) // 2, (canvas.height - image.height) // 2))
        images.append(canvas.convert("RGB"))
    return images, [known.index(name) for _, name in found], known


def fashion(folder: Path, count: int = 2000) -> tuple[list[Image.Image], list[int]]:
    """The first test images, 28 x 28 grey on black."""

    def read(name: str) -> np.ndarray:
        data = gzip.decompress(next(folder.rglob(f"{name}*.gz")).read_bytes())
        dims = struct.unpack(f">{data[3]}i", data[4 : 4 + 4 * data[3]])
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(dims)

    return (
        [Image.fromarray(x) for x in read("t10k-images")[:count]],
        [int(y) for y in read("t10k-labels")[:count]],
    )


if __name__ == "__main__":
    main()
