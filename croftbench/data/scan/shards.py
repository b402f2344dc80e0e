"""Images that share files: WebDataset's tar shards and the Parquet files of the Hugging Face hub."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from croftbench import texts
from croftbench.data.scan.contradictions import names_and_list
from croftbench.data.scan.listing import Listing
from croftbench.data.scan.place import Absent, Collection, Place, is_image
from croftbench.errors import DataError
from croftbench.suites.families import Part

MARK = "#"
"""Stands between a shard and what is in it: `test/0.tar#s0000001.jpg`, `data/test.parquet#17`."""

ROW_GROUPS = 4
"""Parquet row groups held while images are read: one a thread that is at the seam of two, and some."""


def shard_of(path: str) -> tuple[str, str]:
    """The shard and the key of an image inside one; the key is "" for a file of its own."""
    for suffix in (".tar", ".parquet"):
        file, mark, key = path.partition(suffix + MARK)
        if mark:
            return file + suffix, key
    return path, ""


# -------------------------------------------------------------------------------------- WebDataset


def webdataset(place: Place, part: Part) -> Listing:
    """Tar shards of samples `key.jpg` with their class in `key.cls`, or as "label" in `key.json`."""
    collection = Collection(place, part, place.at)
    column = place.layout.columns.get("label", "label")
    for shard in place.shards(part, ".tar"):
        inside = shard.removeprefix(place.at).lstrip("/")
        for image, label in _samples(place.tree.root / shard, column, labelled=bool(collection.classes)):
            _add(collection, f"{inside}{MARK}{image}", label)
    return collection.listing()


def _add(collection: Collection, path: str, label: str | None) -> None:
    position = -1
    if collection.classes and label != "-1":
        position = -1 if label is None else collection.classes.position(label)
        if position < 0:
            collection.notes.add("unlabelled" if label is None else "unknown-class", path)
            return
    collection.paths.append(path)
    collection.labels.append(position)


def _samples(path: Path, column: str, labelled: bool) -> Iterator[tuple[str, str | None]]:
    """Image member and label of each sample of a shard, in its order."""
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                key = f"{folder}/{stem}"
                if not member.isfile():
                    continue
                if is_image(name):
                    images.setdefault(key, member.name)
                elif labelled and ending in ("cls", "json"):
                    label = _label(shard.extractfile(member).read(), ending, column)  # type: ignore[union-attr]
                    if label is None:
                        continue
                    if labels.get(key, label) != label and label.isdigit() and labels[key].isdigit():
                        raise Absent(f"{path}: {key} has labels {labels[key]} (.cls, .json) and {label}", near=True)
                    if ending == "cls" or key not in labels:
                        labels[key] = label
    except (OSError, tarfile.TarError, ValueError, AttributeError, texts.TextError) as error:
        raise Absent(f"{path} cannot be read: {error}", near=True) from error
    return ((image, labels.get(key)) for key, image in images.items())


def wds_samples(path: Path, column: str = "label") -> Iterator[tuple[str, str | None]]:
    """Image member and label of each sample of a shard.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return _samples(path, column, labelled=True)
    except Absent as error:
        raise DataError(f"{error.why}.", "Fetch the shard again.") from error


def _label(data: bytes, ending: str, column: str) -> str | None:
    text = texts.decoded(data, f"a sample's .{ending}")
    if ending == "cls":
        return text.strip()
    value = json.loads(text).get(column)
    return None if value is None else str(value)


# ----------------------------------------------------------------------------------------- Parquet


def parquet(place: Place, part: Part) -> Listing:
    """The hub's Parquet files: a column of images, one of labels, and where parts share files, one that says which."""
    collection = Collection(place, part, place.at)
    columns, wanted = place.layout.columns, place.layout.take.get(part.name, part.name)
    label, which = columns.get("label", "label"), columns.get("part", "")
    for shard in place.shards(part, ".parquet"):
        needed = [name for name in (label if collection.classes else "", which) if name]
        rows, table = _table(place.tree.root / shard, [*needed, columns.get("image", "image")])
        labels = table.get(label, [None] * rows)
        parts = table.get(which, [wanted] * rows)
        inside = shard.removeprefix(place.at).lstrip("/")
        spelt = _spelt(place.tree.root / shard, label)
        if place.layout.key == "index":
            numbered = {str(number): name for number, name in spelt.items()}
            positions = {number: collection.classes.position(number) for number in numbered}
            names_and_list(numbered, place.family, positions, shard)
            spelt = {}
        part_names = _spelt(place.tree.root / shard, which)
        for row in range(rows):
            if part_names.get(parts[row], str(parts[row])) == wanted:
                value = labels[row]
                _add(collection, f"{inside}{MARK}{row}", None if value is None else spelt.get(value, str(value)))
    return collection.listing()


def _table(path: Path, needed: list[str]) -> tuple[int, dict[str, list[Any]]]:
    """Number of rows, and the columns but for the last one, which need only be there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        has = file.schema_arrow.names
        for name in needed:
            if name not in has:
                raise Absent(f"{path} has no column '{name}' (it has {', '.join(has)})", near=True)
        return file.metadata.num_rows, file.read(columns=needed[:-1]).to_pydict() if needed[:-1] else {}
    except (OSError, pa.ArrowException) as error:
        raise Absent(f"{path} cannot be read: {str(error).splitlines()[0]}", near=True) from error


def _spelt(path: Path, column: str) -> Mapping[int, str]:
    """Number -> name of a column that the hub's `datasets` wrote as class labels; nothing for other columns."""
    import pyarrow.parquet as pq

    metadata = pq.ParquetFile(path).schema_arrow.metadata or {}
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    feature = features.get(column, {})
    return dict(enumerate(feature.get("names", ()))) if isinstance(feature, dict) else {}


def table_of(path: Path) -> tuple[list[str], dict[str, Mapping[int, str]]]:
    """Names of a Parquet file's columns, and of those that `datasets` wrote as class labels, number -> name.

    Raises:
        DataError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        columns = list(pq.ParquetFile(path).schema_arrow.names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}.", "Fetch the shard again.") from error
    spelt = {name: _spelt(path, name) for name in columns}
    return columns, {name: names for name, names in spelt.items() if names}


# ----------------------------------------------------------------------------------------- reading


class Shards:
    """The bytes of images inside shards below a data root; safe to use from many threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._members: dict[str, dict[str, tuple[int, int]]] = {}
        self._starts = lru_cache(64)(self._read_starts)
        self._group = lru_cache(ROW_GROUPS)(self._read_group)

    def read(self, shard: str, key: str) -> bytes:
        """The bytes of one image.

        Raises:
            DataError: the shard is not there, damaged, or does not hold it.
        """
        import pyarrow as pa

        try:
            return self._from_tar(shard, key) if shard.endswith(".tar") else self._from_parquet(shard, int(key))
        except (OSError, tarfile.TarError, pa.ArrowException, LookupError, TypeError) as error:
            raise DataError(
                f"cannot read image {key} of {self._root / shard}: {error}.", "Fetch the shard again."
            ) from error

    def _from_tar(self, shard: str, key: str) -> bytes:
        path = self._root / shard
        with self._lock:
            if shard not in self._members:
                with tarfile.open(path, "r:") as members:
                    self._members[shard] = {m.name: (m.offset_data, m.size) for m in members if m.isfile()}
        offset, size = self._members[shard][key]
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _from_parquet(self, shard: str, row: int) -> bytes:
        with self._lock:
            starts = self._starts(shard)
            group = max(i for i, start in enumerate(starts) if start <= row)
            value = self._group(shard, group)[row - starts[group]].as_py()
        data = value["bytes"] if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise LookupError(f"row {row} holds no image bytes")
        return data

    def _read_starts(self, shard: str) -> list[int]:
        import pyarrow.parquet as pq

        metadata = pq.ParquetFile(self._root / shard).metadata
        starts, total = [], 0
        for group in range(metadata.num_row_groups):
            starts.append(total)
            total += metadata.row_group(group).num_rows
        return starts

    def _read_group(self, shard: str, group: int) -> Any:
        """The column of images: the one of {bytes, path}, as `datasets` writes it, or else the one called so."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self._root / shard)
        columns = [
            f.name for f in file.schema_arrow if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0
        ]
        return file.read_row_group(group, columns=[*columns, "image"][:1]).column(0)
