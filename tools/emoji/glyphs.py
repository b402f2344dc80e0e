"""What both recipes read: Unicode's table of emoji, and the icon sets' SVG bodies.

`npm install` in this folder puts the sources under node_modules/ at the versions of package.json.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

SIZE = 64
"""Side of every rendered image, pixels."""


@dataclass(frozen=True)
class Glyph:
    """One emoji of Unicode, without skin tones."""

    char: str
    name: str  # CLDR short name, e.g. "bento box"
    slug: str  # the same as icon sets spell it, e.g. "bento-box"
    group: str  # e.g. "Food & Drink"
    subgroup: str  # e.g. "food-asian"
    aliases: tuple[str, ...]  # other names of the same glyph: Unicode's formal name, shortcodes
    keywords: tuple[str, ...]

    @property
    def codepoint(self) -> str:
        return "-".join(f"{ord(c):x}" for c in self.char if ord(c) != 0xFE0F)


def slug(name: str) -> str:
    """`name` as icon sets write it: lower case ASCII, words joined by hyphens."""
    plain = re.sub("[’'“”.]", "", name).replace("&", "and")
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9]+", "-", ascii_only.lower()).strip("-")


def glyphs(modules: Path) -> list[Glyph]:
    """Every emoji of Unicode in Unicode's order."""
    table = _read(modules / "unicode-emoji-json/data-by-emoji.json")
    keywords = _read(modules / "emojilib/dist/emoji-en-US.json")
    subgroups = {s["order"]: s["key"] for s in _read(modules / "emojibase-data/en/messages.json")["subgroups"]}
    emojibase = {e["hexcode"]: e for e in _read(modules / "emojibase-data/en/data.json")}
    shortcodes = _read(modules / "emojibase-data/en/shortcodes/github.json")
    found = []
    for char, row in table.items():
        hexcode = "-".join(f"{ord(c):04X}" for c in char)
        base = emojibase.get(hexcode) or emojibase.get(hexcode.replace("-FE0F", "")) or {}
        codes = shortcodes.get(base.get("hexcode", ""), [])
        codes = [codes] if isinstance(codes, str) else codes
        bare = char.replace("\ufe0f", "")
        formal = [unicodedata.name(bare, "").lower()] if len(bare) == 1 else []
        aliases = dict.fromkeys(a.replace("_", " ") for a in [*formal, *codes, base.get("label", "")] if a)
        found.append(
            Glyph(
                char,
                row["name"],
                slug(row["name"]),
                row["group"],
                subgroups.get(base.get("subgroup"), "none"),
                tuple(a for a in aliases if a != row["name"]),
                tuple(k.replace("_", " ") for k in keywords.get(char, [])[1:]),
            )
        )
    return found


@cache
def icon_set(path: Path) -> dict[str, str]:
    """Name -> complete SVG document, aliases included, for one Iconify set."""
    data = _read(path)
    width, height = data.get("width", 16), data.get("height", 16)
    icons = dict(data["icons"])
    for alias, target in data.get("aliases", {}).items():
        if target["parent"] in icons and not {"rotate", "hFlip", "vFlip"} & set(target):
            icons.setdefault(alias, icons[target["parent"]])
    return {
        name: f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="'
        f'{icon.get("left", 0)} {icon.get("top", 0)} {icon.get("width", width)} {icon.get("height", height)}">'
        f"{icon['body']}</svg>"
        for name, icon in icons.items()
        if not icon.get("hidden")
    }


def render(svg: str) -> np.ndarray:
    """(64, 64, 4) uint8 RGBA, the drawing centred and as large as its viewBox allows."""
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE, skip_system_fonts=True)
    image = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    if image.size != (SIZE, SIZE):
        image.thumbnail((SIZE, SIZE))
        canvas = Image.new("RGBA", (SIZE, SIZE))
        canvas.paste(image, ((SIZE - image.width) // 2, (SIZE - image.height) // 2))
        image = canvas
    return np.asarray(image)


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite (..., 4) uint8 over white: (..., 3) uint8."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))
