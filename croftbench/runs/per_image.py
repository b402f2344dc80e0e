"""What a run said of every test image: the table beside its JSON, from which all its scores can be computed again.

A Parquet file, one row an image, lossless (scores are the float32 numbers that the metrics saw). It may be deleted:
tables need the JSON only; paired comparisons, plots and re-scoring need it. Its digest is in the JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from croftbench.draw.splits import Shift
from croftbench.errors import DamagedError, DataError
from croftbench.files import replacing
from croftbench.runs import results
from croftbench.runs.spec import RunSpec


@dataclass(frozen=True)
class SplitTable:
    """One test split, image by image, in the split's own order (the same for every method of a suite, fold and seed).

    Attributes:
        name, shift: of the split.
        labels: (N,) int64 class, or splits.UNKNOWN.
        predicted: (N,) int64 arg-max class.
        scores: scorer -> (N,) float32, higher = more in-distribution.
        images: (N,) which image each is: its table and its path there; empty in runs from before this was recorded.
    """

    name: str
    shift: Shift
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    scores: Mapping[str, npt.NDArray[np.float32]]
    images: Sequence[str] = ()

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the predicted class is the right one; never for an unknown class."""
        return np.equal(self.predicted, self.labels)


def path_of(folder: Path, spec: RunSpec) -> Path:
    """Where the table of the run of `spec` is, or will be."""
    return results.table_of(results.path_of(folder, spec))


def write(folder: Path, spec: RunSpec, splits: list[SplitTable]) -> Path:
    """Write a run's table in one step.

    Raises:
        DataError: the folder cannot be written to, or the disk is full; nothing half-written is left.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    scorers = list(splits[0].scores)
    named = {"image": [image for split in splits for image in split.images]} if splits[0].images else {}
    columns = {
        "split": pa.array(np.repeat([s.name for s in splits], [len(s.labels) for s in splits])).dictionary_encode(),
        "shift": pa.array(np.repeat([s.shift for s in splits], [len(s.labels) for s in splits])).dictionary_encode(),
        **named,
        "label": np.concatenate([s.labels for s in splits]).astype(np.int32),
        "predicted": np.concatenate([s.predicted for s in splits]).astype(np.int32),
        **{name: np.concatenate([s.scores[name] for s in splits]).astype(np.float32) for name in scorers},
    }
    path = path_of(folder, spec)
    with replacing(path, "--results") as temporary:
        pq.write_table(
            pa.table(columns), temporary, compression="zstd", compression_level=19,
            use_dictionary=["split", "shift"], use_byte_stream_split=scorers,
            column_encoding=dict.fromkeys(named, "DELTA_BYTE_ARRAY"),  # paths begin as those before them do
        )  # fmt: skip
    return path


Named = dict[tuple[str, bytes], npt.NDArray[np.object_]]
"""Columns of images that were read before, by how they are packed and by their bytes in the file."""


def read(
    path: Path, digest: str | None = None, max_rows: int | None = None, named: Named | None = None
) -> list[SplitTable]:
    """Read a run's table back, splits in the order they were written.

    Args:
        path: where it is.
        digest: what its run says is its SHA-256; None where no run is known.
        max_rows: refuse a longer one: a small Parquet file can unfold into any number of rows.
        named: filled, for the next table: all runs of one draw name the same images, and unfolding their names takes
            four times as long as all the numbers.

    Raises:
        DamagedError: it is not what was written, or no such table.
        DataError: there is none, or it has more rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = path.read_bytes()
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise DamagedError(path, "its digest is not the one in its run", results.again(path))
        file = pq.ParquetFile(pa.BufferReader(content))
        if max_rows is not None and file.metadata.num_rows > max_rows:
            raise DataError(f"its per-image table has more than {max_rows:,} rows.")
        names = [name for name in file.schema_arrow.names if name != "image"]
        return _splits(file.read(names), _images(file, content, {} if named is None else named))
    except DataError:
        raise
    except Exception as error:  # whatever Arrow and NumPy raise on hostile bytes
        why = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
        raise DataError(
            f"cannot read the per-image table {path}: {(why.splitlines() or [type(error).__name__])[0]}.",
            results.again(path),
        ) from error


def _images(file: Any, content: bytes, named: Named) -> npt.NDArray[np.object_] | None:
    """The image of each row of a `pyarrow.parquet.ParquetFile`; None where none is named."""
    if "image" not in file.schema_arrow.names:
        return None
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    every = (group.column(i) for group in groups for i in range(group.num_columns))
    parts = [part for part in every if part.path_in_schema == "image"]
    starts = [part.dictionary_page_offset or part.data_page_offset for part in parts]
    packed = (content[start : start + part.total_compressed_size] for start, part in zip(starts, parts, strict=True))
    key = " ".join(part.compression for part in parts), b"".join(packed)
    if key not in named:
        named[key] = file.read(["image"])["image"].to_numpy()
    return named[key]


def _splits(table: Any, images: npt.NDArray[np.object_] | None) -> list[SplitTable]:
    """The splits of a `pyarrow.Table`."""
    (codes, names), (shifts, kinds) = (_coded(table[name]) for name in ("split", "shift"))
    columns = {name: table[name].to_numpy() for name in table.column_names if name not in ("split", "shift")}
    whole = [columns.pop(name) for name in ("label", "predicted")]
    if not all(np.issubdtype(column.dtype, np.integer) for column in whole):
        raise TypeError("a label that is no whole number")
    label, predicted = (column.astype(np.int64) for column in whole)
    found = []
    for code in dict.fromkeys(codes.tolist()):
        where = np.flatnonzero(codes == code)
        rows = slice(where[0], where[-1] + 1) if where[-1] - where[0] < len(where) else where  # one block, mostly
        scores = {scorer: column[rows] for scorer, column in columns.items()}
        ids = () if images is None else tuple(images[rows].tolist())
        shift = kinds[shifts[where[0]]]
        found.append(SplitTable(names[code], shift, label[rows], predicted[rows], scores, ids))
    return found


def _coded(column: Any) -> tuple[npt.NDArray[np.int32], list[Any]]:
    """Which text each row of a `pyarrow.ChunkedArray` has, and the texts: a row's own would be made thousands of times.

    Raises:
        TypeError: they are no texts.
    """
    import pyarrow as pa

    whole = column.combine_chunks()
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    if coded.null_count or not all(isinstance(text, str) for text in texts):
        raise TypeError("a split or shift without a name")
    return coded.indices.to_numpy(), texts
