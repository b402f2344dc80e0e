"""Pictures to fill folders with: a disc on a ground, told apart by class, domain and number."""

from __future__ import annotations

import colorsys
import io
from functools import cache

from PIL import Image, ImageDraw

FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}


@cache
def picture(kind: str, label: int, domain: int = 0, number: int = 0, size: int = 32) -> bytes:
    """Encoded bytes, different for every argument; the class decides the colour, the domain the ground.

    `kind` is the file's ending: jpg, jpeg, png or webp.
    """
    colour = colorsys.hsv_to_rgb((label * 0.381966) % 1, 0.9, 0.6 + 0.4 * ((label * 7) % 5) / 4)
    ground = (domain * 53 % 200 + 40,) * 3
    image = Image.new("RGB", (size, size), ground)
    draw = ImageDraw.Draw(image)
    left, top = 2 + number % 7, 2 + number // 7 % 7
    draw.ellipse((left, top, left + size // 2, top + size // 2), fill=tuple(round(255 * c) for c in colour))
    for bit in range(24):  # whatever the arguments, no two files are alike
        if (label * 64 + domain) * 4096 + number >> bit & 1:
            draw.rectangle(
                (bit % 12 * 2 + 4, size - 8 + bit // 12 * 4, bit % 12 * 2 + 5, size - 7 + bit // 12 * 4), fill=0
            )
    buffer = io.BytesIO()
    image.save(buffer, FORMATS[kind.lower()], quality=90)
    return buffer.getvalue()
