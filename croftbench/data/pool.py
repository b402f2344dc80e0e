"""Images that are encoded together, once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from croftbench.files import digest


@dataclass(frozen=True)
class Pool:
    """Images that are encoded together, once: a whole test set, or the few-shot images of one draw.

    Attributes:
        name: for people, e.g. "emoji/twemoji".
        table: the image table that the paths belong to ("emoji", "digits").
        paths: one key a picture, in encoding order.
        content: digest of the table's pixels, so that other bytes never share a cache entry.
    """

    name: str
    table: str
    paths: tuple[str, ...]
    content: str

    @cached_property
    def digest(self) -> str:
        """Changes with any path, their order, or the pixels behind them."""
        return digest([self.table, self.content, self.paths])
