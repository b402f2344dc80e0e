"""Images on disk behave like the tensor that they would be in memory, and are not read before they are needed."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from croftbench.encoders.lazy import Mapped, View
from croftbench.method import Examples
from croftbench.training import batches

V, N, P, D = 3, 10, 4, 6
ROWS = torch.tensor([1, 3, 5, 7, 9])


class Counting(View):
    """A view that counts the images that were read of it."""

    counts: ClassVar[list[int]] = []

    def read(self, rows):
        self.counts.append(len(rows))
        return super().read(rows)


@pytest.fixture
def views(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for v in range(V):
        np.save(tmp_path / f"whole{v}.npy", rng.standard_normal((N, D)).astype(np.float32))
        np.save(tmp_path / f"places{v}.npy", rng.standard_normal((N, P, D)).astype(np.float16))
        found.append(Counting(*(np.load(tmp_path / f"{kind}{v}.npy", mmap_mode="r") for kind in ("whole", "places"))))
    return found


@pytest.fixture
def full(views):
    return torch.stack(
        [torch.cat([torch.tensor(v.whole)[:, None], torch.tensor(v.places).float()], 1)[ROWS] for v in views]
    )


@pytest.fixture
def mapped(views):
    Counting.counts.clear()
    return Mapped(views, ROWS, torch.device("cpu"))


def test_it_is_a_tensor_of_that_shape(mapped, full):
    assert isinstance(mapped, torch.Tensor)
    assert (mapped.shape, mapped.dtype, mapped.device) == (full.shape, torch.float32, torch.device("cpu"))
    assert len(mapped) == V
    assert "(3, 5, 5, 6)" in repr(mapped)
    assert Counting.counts == []


def test_choosing_reads_nothing(mapped, full):
    one = mapped[1]
    lazy = [one, mapped[:, torch.tensor([4, 1])], one[1:4], *torch.split(one, 2), one[None], mapped[-1]]
    assert Counting.counts == []
    same = [full[1], full[:, [4, 1]], full[1, 1:4], *torch.split(full[1], 2), full[1:2], full[-1]]
    for a, b in zip(lazy, same, strict=True):
        assert isinstance(a, Mapped)
        assert a.shape == b.shape
        assert torch.equal(a.clone(), b)


def test_indexing_reads_just_the_images(mapped, full):
    found = mapped[2][torch.tensor([3, 0, 3])]
    assert type(found) is torch.Tensor
    assert torch.equal(found, full[2][[3, 0, 3]])
    assert Counting.counts == [3]
    keep = full[0, :, 0, 0] > 0
    assert torch.equal(mapped[0][keep], full[0][keep])


def test_any_other_operation_is_right_too(mapped, full):
    w = torch.ones(D, requires_grad=True)
    (mapped[0] @ w).sum().backward()
    assert torch.allclose(w.grad, full[0].sum((0, 1)))
    assert torch.equal(mapped.mean(0), full.mean(0))
    assert torch.equal(mapped[:, :, 0], full[:, :, 0])
    assert torch.equal(mapped[0][:, 1:], full[0][:, 1:])
    assert torch.equal(mapped.double(), full.double())
    assert torch.equal(torch.cat([mapped, full]), torch.cat([full, full]))
    assert torch.equal(mapped[:2], full[:2])


def test_batches_read_a_batch_at_a_time(mapped, full):
    labels = torch.arange(5)
    lazy, plain = (Examples(x, labels, torch.zeros_like(labels)) for x in (mapped, full))
    for epoch in range(4):
        pairs = zip(
            batches(lazy, epoch, 2, torch.Generator().manual_seed(epoch)),
            batches(plain, epoch, 2, torch.Generator().manual_seed(epoch)),
            strict=True,
        )
        for a, b in pairs:
            assert torch.equal(a.features, b.features)
            assert torch.equal(a.labels, b.labels)
    assert max(Counting.counts) == 2
