"""GDA against its equations by NumPy, and what it promises whatever the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from croftbench.errors import DataError
from croftbench.method import Examples
from croftbench.methods.gda import ALPHAS, GDA
from croftbench.training import unit
from tests.methods.features import small_task


def test_logits_are_those_of_the_shrunk_gaussians(measured):
    task = small_task()
    views = unit(task.train.views).numpy()
    z, y = views.reshape(-1, views.shape[-1]), np.tile(task.train.labels.numpy(), len(views))
    mu = np.stack([z[y == c].mean(0) for c in range(3)])
    centred = z - mu[y]
    S = centred.T @ centred / (len(z) - 1)
    P = 6 * np.linalg.inv((len(z) - 1) * S + np.trace(S) * np.eye(6))
    x = unit(task.train.views[1])
    expected = 20.0 * x.numpy() @ unit(task.text).numpy().T + 0.3 * np.stack(
        [x.numpy() @ P @ mu[c] + np.log(1 / 3) - mu[c] @ P @ mu[c] / 2 for c in range(3)], axis=1
    )
    outputs = GDA(alpha=0.3).fit(task)(4 * task.train.views[1])
    measured("gda", outputs.logits, torch.from_numpy(expected))
    torch.testing.assert_close(outputs.features, x)


def test_without_weight_it_is_zero_shot():
    task = small_task()
    x = task.train.views[0]
    torch.testing.assert_close(GDA(alpha=0).fit(task)(x).logits, 20.0 * unit(x) @ unit(task.text).T)


def test_the_weight_that_is_right_most_often_on_validation_images():
    task = small_task()
    val = Examples(task.train.views[1:] + 0.5, task.train.labels, task.train.domains)
    right = {a: (GDA(alpha=a).fit(task)(val.views[0]).logits.argmax(1) == val.labels).sum() for a in ALPHAS}
    chosen = GDA(search=True).fit(replace(task, val=val))(val.views[0]).logits
    torch.testing.assert_close(chosen, GDA(alpha=max(right, key=right.get)).fit(task)(val.views[0]).logits)
    assert len(set(map(int, right.values()))) > 1
    torch.testing.assert_close(GDA(search=True).fit(task)(val.views[0]).logits, GDA().fit(task)(val.views[0]).logits)


def test_fewer_images_than_dimensions_are_no_trouble():
    outputs = GDA(alpha=1).fit(small_task(images=3, views=1))(small_task().train.views[0])
    assert outputs.logits.isfinite().all()


def test_a_class_without_images_is_named():
    task = small_task()
    empty = replace(task.train, labels=task.train.labels.clamp_max(1))
    with pytest.raises(DataError, match="gda has no training image of 1 of 3 classes"):
        GDA().fit(replace(task, train=empty))
