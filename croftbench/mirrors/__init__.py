"""Folders at s3://, gs:// and hf://. Each has a mirror: a folder of this machine, which everything reads and writes.

A file of a mirror is put up as soon as it is complete, each by one request, which such a store carries out wholly or
not at all; a run's table goes before the JSON that makes it a finished run. Before a command reads results, what the
mirror lacks is fetched, and what is gone from the store goes here too. Of a cache, only finished features are put up,
and each is fetched when it is asked for. What a cut connection kept from being put up is noted beside the mirror
before it is tried, and the next command tries again. See docs/scale-out.md.
"""

from __future__ import annotations

from croftbench.mirrors.down import fetch, pull, there
from croftbench.mirrors.mirrored import CACHE, MIRRORS, RESULTS, is_url, mirror, named, of, variable
from croftbench.mirrors.up import check, move, push, remove, sending

__all__ = [
    "CACHE", "MIRRORS", "RESULTS",
    "check", "fetch", "is_url", "mirror", "move", "named", "of", "pull", "push", "remove", "sending", "there",
    "variable",
]  # fmt: skip
