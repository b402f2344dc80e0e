"""Which kinds of things the embedded encoder knows by name: how the classes of the suite `emoji-kinds` were chosen.

    python tools/emoji/kinds.py emoji-clip/croftbench-2

Zero-shot among the candidates of kinds.toml, on the three styles that `emoji-open` trains on; a kind stays if at least
LEAST of its drawings are recognised. Prints each recall, and the suite's `[classes.members]` and `exclude`: unclear
objects, and those whose names share a word with a kind that stays.
"""

from __future__ import annotations

import argparse
import io
import re
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from measure import OBJECTS, TEMPLATES, class_features
from PIL import Image
from torch.nn.functional import normalize

from croftbench import encoders
from croftbench.encoders import transforms

HERE = Path(__file__).parent
STYLES = ("noto", "emojione", "fluent-emoji-flat")
LEAST = 0.25
NBSP = "\u00a0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("--images", type=Path, default=HERE.parents[1] / "croftbench/embedded/emoji/images.parquet")
    args = parser.parse_args()
    listed = tomllib.loads((HERE / "kinds.toml").read_text(encoding="utf-8"))
    rows = [r for r in pq.read_table(args.images).to_pylist() if r["style"] in STYLES and r["group"] in OBJECTS]
    recall = recalls(encoders.load(args.encoder), rows, listed["kinds"])
    stays = [kind for kind, share in recall.items() if share >= LEAST]
    for kind, share in sorted(recall.items(), key=lambda one: -one[1]):
        print(f"# {kind:20} {share:5.0%} {'' if kind in stays else 'left out'}")
    print("\n[classes.members]")
    for kind in stays:
        print(f"{key(kind)} = {array(listed['kinds'][kind])}")
    members = {name for kind in stays for name in listed["kinds"][kind]}
    names = sorted({r["name"] for r in rows} - members)
    said = {word for kind in stays for word in words(kind)}
    left_out = [name for name in names if name in listed["unclear"] or said & words(name)]
    print(f"\nexclude = {array(left_out)}")
    print(f"# {len(stays)} kinds of {len(members)} objects; {len(names) - len(left_out)} unknown objects")


@torch.no_grad()
def recalls(encoder, rows: list[dict], kinds: dict[str, list[str]]) -> dict[str, float]:
    """Kind -> share of its drawings that are recognised among all candidates."""
    names, kind_of = list(kinds), {name: kind for kind, members in kinds.items() for name in members}
    mine = [r for r in rows if r["name"] in kind_of]
    text, transform, top = class_features(encoder, names, TEMPLATES), transforms.test(encoder.identity), []
    for i in range(0, len(mine), 64):
        images = [Image.open(io.BytesIO(r["image"])).convert("RGB") for r in mine[i : i + 64]]
        features = encoder.encode_images(torch.stack([transform(image) for image in images]))
        top.append((normalize(features, dim=-1) @ text.T).argmax(1))
    found, truth = torch.cat(top).numpy(), np.array([names.index(kind_of[r["name"]]) for r in mine])
    return {name: float((found == truth)[truth == i].mean()) for i, name in enumerate(names)}


def words(name: str) -> set[str]:
    """The words of a name, without a plural's s."""
    return {word.removesuffix("s") for word in re.findall("[a-z]+", name.lower())}


def key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'


def array(names: list[str]) -> str:
    """As TOML, in lines of at most 118 characters, which break between names."""
    quoted = [f'"{name}"'.replace(" ", NBSP) for name in names]
    if len(one := f"[{', '.join(quoted)}]") < 100:
        return one.replace(NBSP, " ")
    lines = textwrap.wrap(", ".join(quoted), 116, break_long_words=False, break_on_hyphens=False)
    return "[\n" + "\n".join(f"  {line.replace(NBSP, ' ')}" for line in lines) + ",\n]"


if __name__ == "__main__":
    main()
