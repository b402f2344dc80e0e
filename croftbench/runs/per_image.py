"""What a run said of every test image: the table beside its JSON, from which all its scores can be computed again.

A Parquet file, one row an image, lossless (scores are the float32 numbers that the metrics saw). It may be deleted:
tables need the JSON only; paired comparisons, plots and re-scoring need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from croftbench.draw.splits import Shift
from croftbench.errors import DataError
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
    """

    name: str
    shift: Shift
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    scores: Mapping[str, npt.NDArray[np.float32]]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the predicted class is the right one; never for an unknown class."""
        return np.equal(self.predicted, self.labels)


def path_of(folder: Path, spec: RunSpec) -> Path:
    """Where the table of the run of `spec` is, or will be."""
    return results.path_of(folder, spec).with_suffix(".parquet")


def write(folder: Path, spec: RunSpec, splits: list[SplitTable]) -> Path:
    """Write a run's table in one step.

    Raises:
        DataError: the folder cannot be written to, or the disk is full; nothing half-written is left.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    scorers = list(splits[0].scores)
    columns = {
        "split": pa.array(np.repeat([s.name for s in splits], [len(s.labels) for s in splits])).dictionary_encode(),
        "shift": pa.array(np.repeat([s.shift for s in splits], [len(s.labels) for s in splits])).dictionary_encode(),
        "label": np.concatenate([s.labels for s in splits]).astype(np.int32),
        "predicted": np.concatenate([s.predicted for s in splits]).astype(np.int32),
        **{name: np.concatenate([s.scores[name] for s in splits]).astype(np.float32) for name in scorers},
    }
    path = path_of(folder, spec)
    with replacing(path, "--results") as temporary:
        pq.write_table(
            pa.table(columns), temporary, compression="zstd", compression_level=19,
            use_dictionary=["split", "shift"], use_byte_stream_split=scorers,
        )  # fmt: skip
    return path


def read(path: Path) -> list[SplitTable]:
    """Read a run's table back, splits in the order they were written.

    Raises:
        DataError: there is none, or it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"cannot read the per-image table {path}: {str(error).splitlines()[0]}.", "Delete the run and run it again."
        ) from error
    split, shift = (np.asarray(table[name].to_pylist()) for name in ("split", "shift"))
    scorers = [name for name in table.column_names if name not in ("split", "shift", "label", "predicted")]
    splits = []
    for name in dict.fromkeys(split.tolist()):
        rows = split == name
        splits.append(
            SplitTable(
                name,
                str(shift[rows][0]),  # type: ignore[arg-type]
                table["label"].to_numpy()[rows].astype(np.int64),
                table["predicted"].to_numpy()[rows].astype(np.int64),
                {scorer: table[scorer].to_numpy()[rows] for scorer in scorers},
            )
        )
    return splits
