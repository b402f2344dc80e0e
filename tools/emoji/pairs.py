"""Render the image-name pairs that the embedded CLIP is trained on.

    npm install --prefix tools/emoji && python tools/emoji/pairs.py --output /tmp/pairs

Reads Iconify's open icon sets and four emoji sets that no suite uses. Left out: the eight styles of images.py (the
suites' images are never trained on), logos, flags and programming sets, sets whose licence forbids reuse
or whose terms are non-commercial or GPL. Style suffixes ("-outline", "-24-filled") are folded, and icons stay
only if they share a word with the emoji vocabulary. Writes pixels.npy (N, 64, 64, 4) uint8 RGBA and pairs.json.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from glyphs import SIZE, Glyph, glyphs, icon_set, render
from images import STYLES

HERE = Path(__file__).parent
EMOJI_SETS = ("openmoji", "emojione-v1", "fxemoji", "streamline-emojis")
LEFT_OUT_CATEGORIES = {"Logos", "Programming"}
LEFT_OUT_SETS = {
    *STYLES,
    *("circle-flags", "flag", "flagpack", "cif"),  # flags
    *(
        "devicon",
        "simple-icons",
        "nonicons",
        "bpmn",
        "academicons",
        "fa-brands",
        "fa6-brands",
        "ginetex",
        "svg-spinners",
    ),
}
LICENCES = {"MIT", "Apache-2.0", "ISC", "CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0", "CC-BY-SA-3.0", "OFL-1.1"}
LICENCES |= {"BSD-3-Clause", "MPL-2.0", "Unlicense"}
# Words that name a drawing style or a variant, not the thing drawn.
STYLE_WORDS = set(
    """outline outlined outlines fill filled solid line linear light thin bold broken duotone twotone twotones two tone
    sharp sharps rounded round regular stroke alt variant off slash rtl ltr ios md baseline mini micro flat freehand
    remix monochrome black white color colored grid bulk cut ui circle square b f s o i""".split()
)
STOP = set(
    """the a an of in on at for to with and or no up down left right top bottom add plus minus remove check edit new
    x""".split()
)
PER_SET_AND_NAME = 2
"""Drawings kept of one name in one set: usually its outline and its filled variant."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=Path, default=HERE / "node_modules")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    table = glyphs(args.modules)
    emoji = emoji_pairs(args.modules, table)
    icons, sets = icon_pairs(args.modules, table)
    pairs = emoji + icons
    args.output.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(args.output / "pixels.npy", "w+", np.uint8, (len(pairs), SIZE, SIZE, 4))
    broken = set()
    with ProcessPoolExecutor(args.workers) as pool:
        for i, image in enumerate(pool.map(drawn, [p.pop("svg") for p in pairs], chunksize=256)):
            if image is None:
                broken.add(i)
            else:
                pixels[i] = image
    for i, pair in enumerate(pairs):
        pair["weight"] = 0 if i in broken else 1
    pixels.flush()
    (args.output / "pairs.json").write_text(json.dumps({"pairs": pairs, "sets": sets}), encoding="utf-8")
    print(f"{len(emoji)} emoji, {len(icons)} icons of {len(sets)} sets; {len(broken)} would not render")


def drawn(svg: str) -> np.ndarray | None:
    """RGBA pixels, or None where the drawing is empty or not valid SVG."""
    try:
        image = render(svg)
    except ValueError:
        return None
    return image if image[..., 3].any() else None


def emoji_pairs(modules: Path, table: list[Glyph]) -> list[dict]:
    """The four emoji sets' drawings, and for each coloured one its line drawing."""
    by_alias: dict[str, Glyph] = {}
    for glyph in reversed(table):  # earlier glyphs win where two share an alias
        for name in (glyph.name, *glyph.aliases):
            by_alias[squeezed(name)] = glyph
    pairs = []
    for style in EMOJI_SETS:
        for icon, svg in icon_set(modules / f"@iconify/json/json/{style}.json").items():
            glyph = by_alias.get(squeezed(icon)) or by_alias.get(squeezed(re.sub(r"-\d$", "", icon)))
            if glyph is None:
                if "skin-tone" in icon or icon.startswith(("flag", "keycap")):
                    continue
                captions, key = [re.sub(r"-?\d+$", "", icon).replace("-", " ")], icon
            else:
                captions, key = [glyph.name, *glyph.aliases], glyph.slug
            row = {
                "set": style,
                "key": key,
                "captions": captions,
                "keywords": list(glyph.keywords[:6]) if glyph else [],
            }
            core = glyph is not None and glyph.group not in {"Smileys & Emotion", "People & Body", "Symbols", "Flags"}
            row["kind"] = "emoji" if core else "face"
            pairs.append({**row, "svg": svg})
            if core:
                pairs.append({**row, "svg": line_drawing(svg), "kind": "emoji-line"})
    return pairs


def line_drawing(svg: str) -> str:
    """The same shapes as outlines only."""
    svg = re.sub(r'\s(fill|stroke|stroke-width|opacity|fill-opacity|stroke-opacity)="[^"]*"', "", svg)
    size = float(re.search(r'viewBox="\S+ \S+ (\S+) ', svg)[1])
    style = f'fill="none" stroke="black" stroke-width="{size / 40:.2f}" stroke-linejoin="round"'
    return re.sub(r"(<svg[^>]*>)(.*)(</svg>)", rf"\1<g {style}>\2</g>\3", svg, flags=re.S)


def icon_pairs(modules: Path, table: list[Glyph]) -> tuple[list[dict], list[str]]:
    """Icons that share a word with the emoji vocabulary, and the sets they come from."""
    vocabulary = {
        w for g in table if g.group != "Flags" for n in (g.name, *g.aliases) for w in words(slug_words(n))
    } - STOP
    names = {
        tuple(words(slug_words(n))): g.slug for g in reversed(table) if g.group != "Flags" for n in (*g.aliases, g.name)
    }
    collections = json.loads((modules / "@iconify/json/collections.json").read_text(encoding="utf-8"))
    pairs, used = [], []
    for name, info in collections.items():
        if name in EMOJI_SETS or name in LEFT_OUT_SETS or info.get("category") in LEFT_OUT_CATEGORIES:
            continue
        if info["license"].get("spdx") not in LICENCES:
            continue
        used.append(name)
        seen: dict[tuple[str, ...], int] = defaultdict(int)
        for icon, svg in sorted(icon_set(modules / f"@iconify/json/json/{name}.json").items()):
            stem = tuple(words(icon))
            if not stem or not set(stem) & vocabulary or seen[stem] >= PER_SET_AND_NAME:
                continue
            seen[stem] += 1
            key = names.get(stem)
            row = {"set": name, "key": key or "-".join(stem), "captions": [" ".join(stem)], "keywords": []}
            if info.get("palette"):
                row["colour"] = True
            pairs.append({**row, "kind": "exact" if key else "icon", "svg": svg})
    return pairs, used


def squeezed(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def slug_words(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower())


def words(icon: str) -> list[str]:
    """An icon's words without sizes and style names ("dog-24-filled" -> ["dog"])."""
    parts = re.split(r"[-_]", icon)
    return [p for p in parts if p and p not in STYLE_WORDS and not re.fullmatch(r"\d+(px|x)?", p)]


if __name__ == "__main__":
    main()
