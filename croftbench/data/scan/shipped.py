"""Image tables that come with the package: what is in them, and the bytes of each picture."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from croftbench.data.scan.listing import Listing
from croftbench.data.scan.place import Absent, Place
from croftbench.errors import DataError
from croftbench.suites.families import Part

DIGITS = "scikit-learn"
"""The `file` of the table that a library ships."""


@dataclass(frozen=True)
class Row:
    """One picture; `style` is its part and `name` its class id, or what a shipped table says of it."""

    path: str
    style: str
    name: str
    group: str
    subgroup: str


def package(place: Place, part: Part) -> Listing:
    """Images of a shipped table; in one with several parts, column "style" says which they belong to.

    Raises:
        DataError: the shipped file is not the one that the manifest describes.
    """
    layout = place.layout
    if layout.file == DIGITS:
        paths = tuple(f"{i:04d}" for i in range(len(_digits(layout.sha256))))
        return Listing(part.name, "", paths, np.full(len(paths), -1, dtype=np.int32))
    columns = _parquet(layout.file, layout.sha256)
    rows = [i for i, style in enumerate(columns["style"]) if style == part.name]
    if not rows:
        raise Absent(f"{layout.file} has no style '{part.name}'", near=True)
    attributes = {name: tuple(columns[name][i] for i in rows) for name in ("name", "group", "subgroup")}
    paths = tuple(f"{part.name}/{columns['codepoint'][i]}" for i in rows)
    return Listing(part.name, "", paths, np.full(len(rows), -1, dtype=np.int32), (), attributes)


@cache
def reader(file: str, sha256: str) -> Callable[[str], bytes]:
    """A function from a picture's path to its encoded bytes."""
    if file == DIGITS:
        return _digits_reader(sha256)
    columns = _parquet(file, sha256)
    paths = map("/".join, zip(columns["style"], columns["codepoint"], strict=True))
    return dict(zip(paths, columns["image"], strict=True)).__getitem__


def file_of(file: str) -> Path:
    """Where the package keeps a table's file."""
    return Path(str(resources.files("croftbench") / "embedded" / file))


@cache
def _parquet(file: str, sha256: str) -> dict[str, list]:  # type: ignore[type-arg]
    import pyarrow.parquet as pq

    path = file_of(file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.", "Install croftbench again.") from error
    _expect(hashlib.sha256(data).hexdigest(), sha256, str(path))
    return pq.ParquetFile(io.BytesIO(data)).read().to_pydict()  # type: ignore[no-any-return]


@cache
def _digits(sha256: str) -> npt.NDArray[np.uint8]:
    spec = find_spec("sklearn")  # the library takes seconds to import, its file is read at once
    folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else ""
    try:
        table = np.loadtxt(Path(folder) / "datasets/data/digits.csv.gz", delimiter=",", dtype=np.uint8)
    except OSError as error:
        raise DataError(f"scikit-learn does not bring its digits: {error}.", "Install croftbench again.") from error
    levels = table[:, :64].reshape(-1, 8, 8)
    _expect(hashlib.sha256(levels.tobytes()).hexdigest(), sha256, "scikit-learn's digits")
    return levels


def _digits_reader(sha256: str) -> Callable[[str], bytes]:
    """scikit-learn's digits as PNG: 17 grey levels stretched to 0-255, ink dark on white paper."""
    from PIL import Image

    levels = _digits(sha256)

    def read(path: str) -> bytes:
        grey = 255 - np.round(levels[int(path)] * (255 / 16)).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "PNG")
        return buffer.getvalue()

    return read


def _expect(actual: str, expected: str, where: str) -> None:
    if actual != expected:
        raise DataError(
            f"{where} has sha256 {actual[:12]}, the manifest says {expected[:12]}.", "Install croftbench again."
        )
