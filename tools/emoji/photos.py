"""Cut photographs into squares for `finetune.py`, which keeps the image tower's features of them where they were.

    python tools/emoji/photos.py FOLDER --output /tmp/pairs

Writes photos.npy (N, 112, 112, 3) uint8. Any natural images do; nothing learns a name from them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageStat

SIDE = 112
CROPS = 100
"""Squares of each photograph, of a tenth of its short side to all of it."""
FLAT = 12.0
"""Standard deviation of grey values below which a square shows nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    rng, squares = np.random.default_rng(0), []
    files = sorted(p for end in ("jpg", "jpeg", "png") for p in args.folder.rglob(f"*.{end}"))
    for path in files:
        image = Image.open(path).convert("RGB")
        image.thumbnail((1600, 1600))
        short = min(image.size)
        for _ in range(CROPS):
            side = int(short * rng.uniform(0.1, 1.0))
            x, y = (int(rng.integers(0, length - side + 1)) for length in image.size)
            square = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (x, y, x + side, y + side), 3)
            if ImageStat.Stat(square.convert("L")).stddev[0] >= FLAT:
                squares.append(np.asarray(square))
    np.save(args.output / "photos.npy", np.stack(squares))
    print(f"{len(squares)} squares of {len(files)} photographs")


if __name__ == "__main__":
    main()
