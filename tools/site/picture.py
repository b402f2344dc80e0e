"""Draw docs/img/one-object.png: one object by eight studios with its roles in `emoji-open`, and what is unknown there.

python tools/site/picture.py [--name owl] [--output docs/img/one-object.png]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from PIL import Image

ROOT = Path(__file__).parents[2]
ROLES = {
    "training": ("noto", "emojione", "fluent-emoji-flat"),
    "test: known": ("twemoji",),
    "test: covariate shift": ("fluent-emoji", "fluent-emoji-high-contrast", "emojione-monotone", "noto-v1"),
}
SHIFTS = {
    "fluent-emoji": "shaded", "fluent-emoji-high-contrast": "line art",
    "emojione-monotone": "silhouette", "noto-v1": "vintage",
}  # fmt: skip
COLOURS = ("#4d7a97", "#3a7d44", "#b5651d", "#8b2f4b")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="owl")
    parser.add_argument("--unknown", nargs="*", default=["rocket", "person surfing", "radioactive"])
    parser.add_argument("--output", type=Path, default=ROOT / "docs/img/one-object.png")
    args = parser.parse_args()
    images = pd.read_parquet(ROOT / "croftbench/embedded/emoji/images.parquet")
    drawn = images.set_index(["name", "style"])["image"]
    groups = [(role, [drawn[args.name, style] for style in styles], styles) for role, styles in ROLES.items()]
    groups.append(("test: semantic shift", [drawn[name, "twemoji"] for name in args.unknown], args.unknown))
    figure = plt.figure(figsize=(11, 1.75), dpi=140)
    columns = sum(len(pictures) for _, pictures, _ in groups) + 0.4 * (len(groups) - 1)
    left = 0.0
    for (role, pictures, labels), colour in zip(groups, COLOURS, strict=True):
        for k, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            axes = figure.add_axes(((left + k * 2) / (columns * 2), 0.2, 1.8 / (columns * 2), 0.5))
            axes.imshow(Image.open(io.BytesIO(picture)))
            axes.set_xticks([]), axes.set_yticks([])
            axes.set_xlabel(SHIFTS.get(label, label.replace("-emoji", "")), fontsize=7)
            for spine in axes.spines.values():
                spine.set_color(colour)
        middle = (left + len(pictures) - 0.1) / (columns * 2)
        figure.text(middle, 0.82, role, ha="center", color=colour, fontsize=9, weight="bold")
        left += len(pictures) * 2 + 0.8
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output)


if __name__ == "__main__":
    main()
