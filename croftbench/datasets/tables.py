"""Image tables: what is in them, and the bytes of each picture."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from croftbench import manifest
from croftbench.errors import DataError


@dataclass(frozen=True)
class Row:
    """One picture of a table; `path` is its key within the table."""

    path: str
    style: str
    name: str
    group: str
    subgroup: str


@cache
def rows(table: str) -> tuple[Row, ...]:
    """All pictures of a table, in its order.

    Raises:
        DataError: the shipped file is not the one that the manifest describes.
    """
    entry = manifest.table(table)
    if not entry.file:
        return tuple(Row(f"{i:04d}", "", "", "", "") for i in range(entry.images))
    columns = _parquet(table)
    names = ("style", "codepoint", "name", "group", "subgroup")
    return tuple(
        Row(f"{style}/{code}", style, name, group, subgroup)
        for style, code, name, group, subgroup in zip(*(columns[n] for n in names), strict=True)
    )


def image_bytes(table: str) -> Callable[[str], bytes]:
    """A function from a picture's path to its encoded bytes."""
    if not manifest.table(table).file:
        return _digits(table)
    images = dict(zip((row.path for row in rows(table)), _parquet(table)["image"], strict=True))
    return images.__getitem__


def file_of(table: str) -> Path:
    """Where the package keeps a table's file."""
    return Path(str(resources.files("croftbench") / "embedded" / manifest.table(table).file))


@cache
def _parquet(table: str) -> dict[str, list]:  # type: ignore[type-arg]
    import pyarrow.parquet as pq

    path, entry = file_of(table), manifest.table(table)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.", "Install croftbench again.") from error
    _expect(hashlib.sha256(data).hexdigest(), entry.sha256, str(path))
    return pq.read_table(io.BytesIO(data)).to_pydict()  # type: ignore[no-any-return]


def _digits(table: str) -> Callable[[str], bytes]:
    """scikit-learn's digits as PNG: 17 grey levels stretched to 0-255, ink dark on white paper."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    levels = load_digits().images.astype(np.uint8)
    _expect(hashlib.sha256(levels.tobytes()).hexdigest(), manifest.table(table).sha256, "scikit-learn's digits")

    def read(path: str) -> bytes:
        grey = 255 - np.round(levels[int(path)] * (255 / 16)).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "PNG")
        return buffer.getvalue()

    return read


def _expect(found: str, expected: str, where: str) -> None:
    if found != expected:
        raise DataError(
            f"{where} has sha256 {found[:12]}, the manifest says {expected[:12]}.", "Install croftbench again."
        )


def positions(table: str, paths: Iterable[str]) -> tuple[int, ...]:
    """Where each path stands in the table."""
    where = {row.path: i for i, row in enumerate(rows(table))}
    return tuple(where[path] for path in paths)
