"""NumPy files larger than memory, written block by block.

Written as streams, not through `np.lib.format.open_memmap`: its file is sparse, so that a disk that fills up ends the
process with a bus error, where a write raises an OSError that can be told and survived.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
import numpy.typing as npt


def write_header(file: IO[bytes], rows: int, block: npt.NDArray[Any]) -> None:
    """Begin an array of `rows` rows like those of `block`, in C order."""
    descr, shape = np.lib.format.dtype_to_descr(block.dtype), (rows, *block.shape[1:])
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})


def write_rows(file: IO[bytes], block: npt.NDArray[Any]) -> None:
    """The array's next rows."""
    file.write(np.ascontiguousarray(block).data)
