"""Make the table of Fashion-MNIST images that ships with croftbench: the first 100 test images of each garment.

    python tools/emoji/garments.py /usr/share/datasets/fashion-mnist    # Debian: dataset-fashion-mnist

28 x 28 grey levels on black, as published, lossless. Writes croftbench/embedded/fashion/images.parquet and prints the
digest of its pixels, which is the same every time.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from measure import GARMENTS, fashion
from PIL import Image

EACH = 100
NAME = "fashion-mnist-1000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parents[2] / "croftbench/embedded/fashion/images.parquet"
    )
    args = parser.parse_args()
    images, labels = fashion(args.folder, 10000)
    rows, digest = [], hashlib.sha256()
    for label, garment in enumerate(GARMENTS):
        for place in [i for i, one in enumerate(labels) if one == label][:EACH]:
            row = {
                "style": NAME,
                "name": garment,
                "group": "Garments",
                "subgroup": garment,
                "codepoint": f"{place:04d}",
            }
            digest.update("\t".join(row.values()).encode() + images[place].tobytes())
            rows.append(row | {"image": png(images[place])})
    args.output.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"digest": digest.hexdigest()})
    pq.write_table(table, args.output, compression="zstd", row_group_size=len(rows), use_dictionary=True)
    print(f"{len(rows)} images, {args.output.stat().st_size / 1e6:.2f} MB, digest {digest.hexdigest()}")


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
