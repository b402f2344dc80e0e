"""Texts that are not ours, made harmless where they are printed: no escape sequence, no turned text, no half character.

A bundle's environment, a class name, a file name or a library's message may hold bytes that a terminal obeys: they
could move the cursor, rename the window, or hide a line. Every way out uses this: `shown` for terminals, Markdown, HTML
and CSV, `json_shown` for JSON. LaTeX has its own (`report.formats.latex.escape`), CSV adds formulas
(`report.formats.data.csv`).
"""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and line feed, DEL, and C1, of which \x9b alone begins a sequence
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # that turn the direction of text, or break a line
    "\ud800-\udfff]"  # what Python makes of bytes in file names that are no UTF-8: no stream can encode it
)


def shown(text: str) -> str:
    r"""The text with `\x1b` in the place of an escape character, and so on; line feeds and tabs stay."""
    return UNSAFE.sub(_named, text)


def json_shown(text: str) -> str:
    """JSON with the same characters spelt as JSON spells them; it still means the same."""
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _named(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
