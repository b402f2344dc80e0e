"""Images with places: what a batch of them is, and that no more than it is read."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from croftbench.encoders.lazy import PlaceReader, View
from croftbench.method import Examples
from croftbench.training import batches

V, N, P, D = 3, 10, 4, 6
ROWS = np.array([1, 3, 5, 7, 9])
CPU = torch.device("cpu")


class Counting(View):
    """A view that counts the images that were read of it."""

    counts: ClassVar[list[int]] = []

    def read(self, rows):
        self.counts.append(len(rows))
        return super().read(rows)


@pytest.fixture
def readers(tmp_path):
    Counting.counts.clear()
    rng = np.random.default_rng(0)
    views = []
    for v in range(V):
        np.save(tmp_path / f"whole{v}.npy", rng.standard_normal((N, D)).astype(np.float32))
        np.save(tmp_path / f"places{v}.npy", rng.standard_normal((N, P, D)).astype(np.float16))
        views.append(Counting(*(np.load(tmp_path / f"{kind}{v}.npy", mmap_mode="r") for kind in ("whole", "places"))))
    return [PlaceReader(view, ROWS, CPU) for view in views]


@pytest.fixture
def full(readers):
    """(V, 5, 1 + P, D), all in memory."""
    views = [reader.view for reader in readers]
    return torch.stack(
        [torch.cat([torch.tensor(v.whole)[:, None], torch.tensor(v.places).float()], 1)[ROWS] for v in views]
    )


def test_what_is_indexed_is_read_and_no_more(readers, full):
    reader = readers[1]
    assert (len(reader), reader.shape) == (5, tuple(full[1].shape))
    assert Counting.counts == []
    assert torch.equal(reader[torch.tensor([3, 0, 3])], full[1][[3, 0, 3]])
    assert torch.equal(reader[1:3], full[1][1:3])
    assert torch.equal(reader[4:9], full[1][4:9])
    assert Counting.counts == [3, 2, 1]


def test_what_was_read_may_be_written_on(readers, full):
    readers[0][0:5].zero_()
    assert torch.equal(readers[0][0:5], full[0])


def test_training_reads_a_batch_at_a_time(readers, full):
    labels = torch.arange(5)
    on_disk = Examples(full[:, :, 0], labels, labels, lambda view, rows: readers[view][rows])
    in_memory = Examples(full, labels, labels)
    for epoch in range(4):
        pairs = zip(
            batches(on_disk, epoch, 2, torch.Generator().manual_seed(epoch)),
            batches(in_memory, epoch, 2, torch.Generator().manual_seed(epoch)),
            strict=True,
        )
        for a, b in pairs:
            assert torch.equal(a.features, b.features)
            assert torch.equal(a.labels, b.labels)
    assert Counting.counts == [2] * 8
