"""The linear probe against its equation and scikit-learn's own probabilities."""

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import DataError
from croftbench.method import Examples, Task
from croftbench.methods.linear_probe import LinearProbe
from croftbench.training import unit


def small_task(classes: int = 3, views: int = 2, images: int = 24) -> Task:
    """Images around a centre a class, float64."""
    rng = torch.Generator().manual_seed(5)
    centres = torch.randn(classes, 6, generator=rng).double()
    labels = torch.arange(images) % classes
    x = centres[labels] + 0.8 * torch.randn(views, images, 6, generator=rng).double()
    names = tuple("abcdef"[:classes])
    return Task(names, Examples(3 * x, labels, torch.zeros_like(labels)), None, centres, 20.0, seed=1)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_softmax_of_the_logits_is_scikit_learns_probability(classes):
    task = small_task(classes)
    outputs = LinearProbe(C=4.0).fit(task)(task.train.views[1])
    z = unit(task.train.views).flatten(0, 1).numpy()
    reference = LogisticRegression(C=2.0, max_iter=1000).fit(z, task.train.labels.repeat(2).numpy())
    expected = torch.from_numpy(reference.predict_proba(unit(task.train.views[1]).numpy()))
    torch.testing.assert_close(outputs.logits.softmax(1), expected)
    torch.testing.assert_close(outputs.features, unit(task.train.views[1]))
    assert outputs.logits.shape == (24, classes) and outputs.classes is None and not outputs.scores


def test_objective_restated_is_least_at_the_solution():
    task, C = small_task(), 4.0

    def objective(W: Tensor, b: Tensor) -> Tensor:
        total = W.square().sum() / 2
        for i in range(24):
            for v in range(2):
                f = task.train.views[v, i]
                logits = torch.stack([W[k] @ f / f.norm() + b[k] for k in range(3)])
                total = total - C * logits.log_softmax(0)[task.train.labels[i]] / 2
        return total

    def steepest(*at: Tensor) -> float:
        return max(g.abs().max().item() for g in torch.autograd.grad(objective(*at), at))

    solution = [x.requires_grad_() for x in LinearProbe(C=C).solve(task.train, 3)]
    start = [torch.zeros_like(x).requires_grad_() for x in solution]
    assert steepest(*solution) < 1e-3 * steepest(*start)
    assert objective(*solution) < objective(*start)


def test_logits_are_those_of_newtons_method(measured):
    """Solved to rounding, where L-BFGS stops once the gradient is small."""
    task, C = small_task(), 4.0
    z, y = unit(task.train.views).flatten(0, 1), task.train.labels.repeat(2)

    def objective(weights: Tensor) -> Tensor:
        W, b = weights.view(3, 7).split([6, 1], dim=1)
        return W.square().sum() / 2 + C / 2 * cross_entropy(z @ W.T + b[:, 0], y, reduction="sum")

    weights = torch.zeros(21, dtype=torch.float64)
    for _ in range(10):  # the pseudo-inverse, since (1) does not change with the mean of b
        slope = torch.autograd.functional.jacobian(objective, weights)
        curvature = torch.autograd.functional.hessian(objective, weights)
        weights = weights - torch.linalg.pinv(curvature, hermitian=True) @ slope
    assert torch.autograd.functional.jacobian(objective, weights).abs().max() < 1e-12
    W, b = weights.view(3, 7).split([6, 1], dim=1)
    image = task.train.views[1]
    measured("linear-probe", LinearProbe(C=C).fit(task)(image).logits, unit(image) @ W.T + b[:, 0])


def test_C_means_the_same_for_any_number_of_views_and_any_length():
    task = small_task(views=1)
    image = task.train.views[0]
    once = LinearProbe().fit(task)(image).logits
    thrice = replace(task, train=replace(task.train, views=image.repeat(3, 1, 1)))
    longer = replace(task, train=replace(task.train, views=50 * task.train.views))
    torch.testing.assert_close(LinearProbe().fit(thrice)(image).logits, once, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(LinearProbe().fit(longer)(9 * image).logits, once)


def test_permuting_classes_permutes_logits():
    task, order = small_task(4), torch.tensor([3, 0, 2, 1])
    image = task.train.views[0]
    renamed = replace(task.train, labels=order.argsort()[task.train.labels])
    other = LinearProbe().fit(replace(task, train=renamed))(image).logits
    torch.testing.assert_close(other, LinearProbe().fit(task)(image).logits[:, order], rtol=1e-3, atol=1e-2)


def test_a_stronger_penalty_gives_flatter_logits_that_fit_worse():
    task = small_task()
    losses = [
        cross_entropy(LinearProbe(C=C).fit(task)(task.train.views[0]).logits, task.train.labels).item()
        for C in (0.1, 1.0, 100.0)
    ]
    assert losses == sorted(losses, reverse=True)


def test_running_out_of_iterations_is_no_error(recwarn):
    task = small_task()
    LinearProbe(max_iter=1).fit(task)
    assert not recwarn.list


def test_a_class_without_training_images_is_named():
    task = small_task()
    with pytest.raises(DataError, match="1 of 4 classes, 'd' first"):
        LinearProbe().fit(replace(task, classnames=("a", "b", "c", "d")))


def test_one_class_cannot_be_told_apart():
    with pytest.raises(DataError, match="only one"):
        LinearProbe().fit(small_task(1))


def test_C_is_swept_on_validation_images_and_without_them_stays():
    """No other power of ten in the grid does better; the halvings stay within a factor of ten."""
    task = small_task(views=1)
    val = Examples(small_task(images=60).train.views[:1], torch.arange(60) % 3, torch.zeros(60))

    def right(C: float) -> int:
        return (LinearProbe(C=C).fit(task)(val.views[0]).logits.argmax(1) == val.labels).sum().item()

    coarse = max((10.0**e for e in (6, 4, 2, 0, -2, -4, -6)), key=right)
    swept = LinearProbe(sweep=True).swept(task.train, val, 3)
    assert coarse / 10 <= swept.C <= coarse * 10
    image = task.train.views[0]
    fitted = LinearProbe(sweep=True).fit(replace(task, val=val))(image).logits
    torch.testing.assert_close(fitted, LinearProbe(C=swept.C).fit(task)(image).logits)
    assert torch.equal(LinearProbe(sweep=True).fit(task)(image).logits, LinearProbe().fit(task)(image).logits)
