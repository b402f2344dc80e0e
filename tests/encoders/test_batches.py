"""Encoding in streams: the features, the order and the errors of one after the other."""

from types import SimpleNamespace

import pytest
import torch

from croftbench import encoders
from croftbench.encoders import batches
from croftbench.errors import DataError

CPU = torch.device("cpu")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def blocks(count, images=5):
    stream = torch.Generator().manual_seed(0)
    return [(images * i, torch.rand(2, images, 3, 64, 64, generator=stream)) for i in range(count)]


def test_streams_give_what_one_thread_gives(threads):
    encoder, made = encoders.load(encoders.EMBEDDED), blocks(5)
    threads(1)
    alone = list(batches.encoded(encoder, made, "image"))
    threads(3)
    together = list(batches.encoded(encoder, made, "image"))
    assert [start for start, _ in together] == [start for start, _ in alone] == [0, 5, 10, 15, 20]
    assert all((a == b).all() for (_, a), (_, b) in zip(alone, together, strict=True))
    assert torch.get_num_threads() == 3, "the caller's threads are its own"


def test_few_blocks_are_held_at_once(threads):
    threads(2)
    taken, given = [], []

    def source():
        for start, pixels in blocks(12):
            taken.append(start)
            assert len(taken) - len(given) <= 4
            yield start, pixels

    plain = SimpleNamespace(id="plain", device=CPU, encode_images=lambda pixels: pixels.flatten(1)[:, :4])
    for start, _ in batches.encoded(plain, source(), "image"):
        given.append(start)
    assert given == taken


def test_an_error_in_a_stream_is_told_and_nothing_runs_on(threads):
    threads(2)
    seen = []

    def fails(pixels):
        seen.append(pixels)
        raise DataError("the image tower broke.")

    broken = SimpleNamespace(id="broken", device=CPU, encode_images=fails)
    with pytest.raises(DataError, match="broke"):
        list(batches.encoded(broken, blocks(50), "image"))
    assert len(seen) < 10
