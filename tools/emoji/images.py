"""Render the emoji that ship with croftbench: one Parquet file of eight studios' drawings.

    npm install --prefix tools/emoji && python tools/emoji/images.py

A glyph ships when the six full sets (noto, twemoji, emojione and the three Fluent sets) all draw it, so that classes
line up across styles. Images are 64 x 64 RGB on white, lossless WebP. The printed digest covers names, metadata and
decoded pixels; building twice gives the same one.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from glyphs import SIZE, Glyph, glyphs, icon_set, on_white, render
from PIL import Image

HERE = Path(__file__).parent
OUTPUT = HERE.parents[1] / "croftbench/embedded/emoji/images.parquet"
EVERYWHERE = ("noto", "twemoji", "emojione", "fluent-emoji", "fluent-emoji-flat", "fluent-emoji-high-contrast")
STYLES = (*EVERYWHERE, "noto-v1", "emojione-monotone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=Path, default=HERE / "node_modules", help="where npm installed the sources")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()

    sets = {style: icon_set(args.modules / f"@iconify-json/{style}/icons.json") for style in STYLES}
    kept = [g for g in glyphs(args.modules) if all(g.slug in sets[s] for s in EVERYWHERE)]
    rows, digest = [], hashlib.sha256()
    for style in STYLES:
        for glyph in kept:
            if glyph.slug in sets[style]:
                row, pixels = drawing(style, glyph, sets[style][glyph.slug])
                rows.append(row)
                digest.update("\t".join(v for k, v in row.items() if k != "image").encode() + pixels)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"digest": digest.hexdigest()})
    pq.write_table(table, args.output, compression="zstd", row_group_size=len(rows), use_dictionary=True)
    size = args.output.stat().st_size / 1e6
    print(f"{len(rows)} images of {len(kept)} glyphs, {size:.1f} MB, digest {digest.hexdigest()}")


def drawing(style: str, glyph: Glyph, svg: str) -> tuple[dict, bytes]:
    """One row of the table, and its pixels for the digest."""
    image = Image.fromarray(on_white(render(svg)))
    assert image.size == (SIZE, SIZE)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=100, method=6)
    row = {
        "style": style,
        "name": glyph.name,
        "group": glyph.group,
        "subgroup": glyph.subgroup,
        "codepoint": glyph.codepoint,
        "image": buffer.getvalue(),
    }
    return row, image.tobytes()


if __name__ == "__main__":
    main()
