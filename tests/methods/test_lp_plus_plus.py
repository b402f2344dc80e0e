"""LP++ against its equations, with its steps by hand, and what it promises whatever the data."""

from dataclasses import replace

import pytest
import torch

from croftbench.errors import DataError
from croftbench.method import Examples
from croftbench.methods.lp_plus_plus import LPPlusPlus, start
from croftbench.training import unit
from tests.methods.features import small_task


def test_where_it_starts():
    task = small_task(views=1)
    z, y, t = unit(task.train.views[0]), task.train.labels, unit(task.text)
    W, b, alpha = start(z, y, t, torch.full((3,), 8), task.generator())
    torch.testing.assert_close(W, torch.stack([z[y == c].sum(0) for c in range(3)]))
    assert b.abs().max() <= 6**-0.5
    mean = sum((z[y == c] @ t[c]).mean() for c in range(3)) / 3
    torch.testing.assert_close(alpha, (250 * mean).expand(3))


def test_steps_by_hand(measured):
    """Three steps, alpha's on the second."""
    task = small_task(views=1)
    z, y, t = unit(task.train.views[0]), task.train.labels, unit(task.text)
    W, b, alpha = start(z, y, t, torch.full((3,), 8), task.generator())
    step = 4 * 24 / torch.linalg.svdvals(z)[0] ** 2
    step_alpha = 24 / (4 * max((z @ row).square().sum() for row in t))
    velocity = [torch.zeros_like(W), torch.zeros_like(b)]
    for epoch in range(3):
        at = [x.clone().requires_grad_() for x in (W, b, alpha)]
        logits = torch.stack([z @ at[0][c] + at[1][c] + at[2][c] * (z @ t[c]) for c in range(3)], dim=1)
        (-logits.log_softmax(1)[torch.arange(24), y].mean()).backward()
        velocity = [0.9 * v + x.grad for v, x in zip(velocity, at[:2], strict=True)]
        W, b = W - step * velocity[0], b - step * velocity[1]
        if epoch == 1:
            alpha = alpha - step_alpha * at[2].grad
    outputs = LPPlusPlus(epochs=3, every=2).fit(task)(5 * task.train.views[0])
    measured("lp-plus-plus", outputs.logits, z @ W.T + b + alpha * (z @ t.T))


def test_it_learns_without_a_rate():
    task = small_task()
    accuracy = [
        (LPPlusPlus(epochs=n).fit(task)(task.train.views[0]).logits.argmax(1) == task.train.labels).double().mean()
        for n in (1, 300)
    ]
    assert accuracy[1] >= accuracy[0]
    assert accuracy[1] > 0.9


def test_the_last_of_the_best_epochs_on_validation_images_is_kept():
    task = small_task(images=9)
    other = small_task(images=24)
    val = Examples(other.train.views[1:], other.train.labels, other.train.domains)
    right = [
        (LPPlusPlus(epochs=n).fit(task)(val.views[0]).logits.argmax(1) == val.labels).sum().item() for n in range(1, 13)
    ]
    best = max(n for n, one in enumerate(right, 1) if one == max(right))
    kept = LPPlusPlus(epochs=12, pick=True).fit(replace(task, val=val))(val.views[0]).logits
    torch.testing.assert_close(kept, LPPlusPlus(epochs=best).fit(task)(val.views[0]).logits)
    torch.testing.assert_close(
        LPPlusPlus(epochs=12, pick=True).fit(task)(val.views[0]).logits,
        LPPlusPlus(epochs=12).fit(task)(val.views[0]).logits,
    )


def test_a_class_without_images_is_named():
    task = small_task()
    empty = replace(task.train, labels=task.train.labels.clamp_max(1))
    with pytest.raises(DataError, match="lp-plus-plus has no training image of 1 of 3 classes"):
        LPPlusPlus().fit(replace(task, train=empty))
