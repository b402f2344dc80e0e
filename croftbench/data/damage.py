"""Why bytes are no picture, in words that are the same each time: empty, truncated, no image, damaged."""

from __future__ import annotations

import re

__all__ = ["REPLACE", "UnreadError", "explain"]

REPLACE = "Replace the file or leave it out."

NO_IMAGE = (
    (rb"version https://git-lfs", "a Git LFS pointer", "Run `git lfs pull` where it was cloned."),
    (rb".*<(!doctype html|html|head|body)\b", "a web page", "Fetch it again: a server sent a page in its place."),
    (rb"<(\?xml|svg)", "XML or SVG", "Save it as PNG."),
    (rb"%!ps|\xc5\xd0\xd3\xc6", "PostScript", "Save it as PNG."),
    (rb"%pdf", "a PDF", "Save it as PNG."),
    (rb"pk\x03\x04|\x1f\x8b|rar!|7z\xbc\xaf", "an archive", "Unpack it."),
    (rb"....ftyp(hei|hev|mif1|msf1)", "HEIC", "Save it as JPEG or PNG."),
    (rb"[\x09-\x0d\x20-\x7e]+$", "text", REPLACE),
)  # fmt: skip
"""How files that are no image begin, in small letters."""

STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*",
    b"P1", b"P2", b"P3", b"P4", b"P5", b"P6",
)  # fmt: skip
"""How files of the common formats begin."""

HEAD = 512
"""Bytes that tell what a file is."""


class UnreadError(Exception):
    """A picture that is whole and that nobody can say the pixels of."""


def explain(data: bytes, error: Exception, unidentified: bool) -> tuple[str, str]:
    """The fault of bytes that Pillow does not read, and what to do; `unidentified` if it knew no reader for them."""
    if not data.strip(b"\0"):
        return "all of its bytes are zero", REPLACE
    if isinstance(error, UnreadError):
        return str(error), "Save it as PNG, in RGB or in grey of 8 or 16 bits."
    if isinstance(error, MemoryError):
        return "it takes more memory than there is", REPLACE
    text = _line(error)
    if found := re.match(r"Image size \((\d+) pixels\) exceeds limit of (\d+)", text):
        return f"it has {int(found[1]):,} pixels, more than the {int(found[2]):,} that are read", "Make it smaller."
    if _cut(data) or "truncated" in text.lower():
        return "the file is truncated", REPLACE
    if not unidentified:
        return f"the picture is damaged ({text})", REPLACE
    if data.startswith(STARTS):
        return "the picture is damaged in its head", REPLACE
    head = data[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, kind, hint in NO_IMAGE:
        if re.match(start, head, re.DOTALL):
            return f"it is not an image but {kind}", hint
    return "it is not an image of a format that is read", "JPEG, PNG, WebP, GIF, BMP, TIFF and PPM are."


def _cut(data: bytes) -> bool:
    """Whether a picture's end is missing, by its own format."""
    if len(data) < 8:
        return any(start.startswith(data) or data.startswith(start) for start in STARTS)
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in data[-HEAD:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-HEAD:]
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big") >= len(data)
    return data.startswith(b"GIF8") and not data.rstrip(b"\0").endswith(b";")


def _line(error: Exception) -> str:
    """An exception in one printable line, without addresses of objects."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    first = re.sub(r"<[^<>]*>|\b0x[0-9a-fA-F]{6,}", "the file", first).rstrip(".")
    return "".join(letter if letter.isprintable() else "?" for letter in first)[:120]
