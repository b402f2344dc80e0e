"""Arrays with digests: whatever is handed out was first held against them, block by block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croftbench import npy
from croftbench.errors import DamagedError, DataError
from croftbench.npy import BLOCK, Stored


def write(path, array, parts=1):
    with path.open("wb") as file:
        writer = npy.Writer(file, len(array), array)
        for part in np.array_split(array, parts):
            writer.write(part)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """(file, array): 3.8 MB in rows of 3,000 bytes, which cross the borders of blocks."""
    array = np.random.default_rng(1).random((1280, 3, 250), np.float32)
    return write(tmp_path_factory.mktemp("large") / "a.npy", array, parts=7), array


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(0, 4), (5, 0), (1,), (3, 2, 4), (BLOCK // 2,)])
def test_what_is_written_is_read_by_this_and_by_numpy(tmp_path, shape, dtype):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    path = write(tmp_path / "a.npy", array, 2)
    stored = Stored(path)
    assert (stored.shape, stored.dtype, len(stored)) == (shape, dtype, shape[0])
    for read in (stored.whole(), np.load(path), stored[:], np.array(stored)):
        assert read.dtype == dtype
        assert np.array_equal(read, array)


@given(rows=st.lists(st.integers(0, 1279), max_size=20), at=st.integers(128, 128 + 1280 * 3000 - 1))
def test_rows_are_right_or_refused_and_only_their_blocks_are_hashed(large, rows, at):
    path, array = large
    copy = path.with_name("b.npy")
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    copy.write_bytes(content)
    chosen = np.array(rows, dtype=np.int64)
    spans = [((128 + 3000 * row) // BLOCK, (128 + 3000 * row + 2999) // BLOCK) for row in rows]
    hit = at // BLOCK == 0 or any(first <= at // BLOCK <= last for first, last in spans)
    if hit:
        with pytest.raises(DamagedError, match="are not those that were written"):
            Stored(copy)[chosen]
    else:
        assert np.array_equal(Stored(copy)[chosen], array[chosen])
    with pytest.raises(DamagedError):
        Stored(copy).whole()


@pytest.mark.parametrize("start", [-200, 0, 349, 700, 1279])
def test_ranges_of_rows(large, start):
    path, array = large
    stored = Stored(path)
    assert np.array_equal(stored[start : start + 300], array[start : start + 300])
    assert np.array_equal(stored[start::3], array[start::3])


def test_any_flip_anywhere_is_found(tmp_path):
    path = write(tmp_path / "a.npy", np.arange(24, dtype=np.float32))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedError):
            Stored(path).whole()


def test_any_other_length_is_found(tmp_path):
    path = write(tmp_path / "a.npy", np.arange(24, dtype=np.float32))
    whole = path.read_bytes()
    for content in [*(whole[:n] for n in range(len(whole))), whole + b"x", whole * 2]:
        path.write_bytes(content)
        with pytest.raises(DamagedError, match="is damaged"):
            Stored(path)
    path.unlink()
    with pytest.raises(DamagedError, match="No such file"):
        Stored(path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npy", np.zeros(3))

    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np, "memmap", denied)
    with pytest.raises(DataError, match=r"cannot read .*Permission denied") as caught:
        Stored(path)
    assert not isinstance(caught.value, DamagedError)
