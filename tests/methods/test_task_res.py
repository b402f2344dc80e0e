"""TaskRes against its equation, its optimiser written out, and what it promises whatever the data."""

from dataclasses import replace

import pytest
import torch

from croftbench.errors import TrainingError
from croftbench.method import Examples, Task
from croftbench.methods.task_res import TaskRes
from croftbench.methods.zero_shot import ZeroShot
from croftbench.training import Recipe


@pytest.fixture
def task() -> Task:
    """Four images, three classes, float64."""
    rng = torch.Generator().manual_seed(2)
    e = 3 * torch.randn(3, 6, generator=rng).double()
    labels = torch.tensor([2, 0, 1, 1])
    views = 5 * torch.randn(2, 4, 6, generator=rng).double()
    return Task(("a", "b", "c"), Examples(views, labels, torch.zeros(4)), None, e, 20.0, seed=1)


def test_it_starts_at_zero_shot(task):
    image = task.train.views[0]
    untrained = TaskRes(recipe=Recipe(optimiser="adam", epochs=0)).fit(task)(image)
    torch.testing.assert_close(untrained.logits, ZeroShot().fit(task)(image).logits)


def test_loss_and_adam_restated_for_four_images_and_three_classes(task, measured):
    """Two epochs: the warm-up rate, then the cosine's first, on one view each."""
    alpha, decay, rates, s = 0.5, 5e-4, (1e-5, 0.002), 20.0
    x = torch.zeros(3, 6, dtype=torch.float64)
    first, second, losses = torch.zeros_like(x), torch.zeros_like(x), []
    for step, rate in enumerate(rates, start=1):
        x.requires_grad_()
        loss = torch.zeros((), dtype=torch.float64)
        for i in range(4):
            f = task.train.views[step - 1, i]
            t = [task.text[c] + alpha * x[c] for c in range(3)]
            logits = torch.stack([s * (f @ t[c]) / (f.norm() * t[c].norm()) for c in range(3)])
            loss = loss - logits.log_softmax(0)[task.train.labels[i]] / 4
        losses.append(loss.item())
        g = torch.autograd.grad(loss, x)[0] + decay * x.detach()
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        corrected = (second / (1 - 0.999**step)).sqrt() + 1e-8
        x = x.detach() - rate * first / (1 - 0.9**step) / corrected
    reported: list[tuple[int, int, float]] = []
    watched = replace(task, on_epoch=lambda *at: reported.append(at))
    method = TaskRes(recipe=Recipe(optimiser="adam", epochs=2, batch=256, weight_decay=decay))
    image = task.train.views[0]
    outputs = method.fit(watched)(image)
    assert [loss for _, _, loss in reported] == pytest.approx(losses, rel=1e-12)
    t = task.text + alpha * x
    t, z = t / t.norm(dim=1, keepdim=True), image / image.norm(dim=1, keepdim=True)
    torch.testing.assert_close(outputs.classes, t, rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs.features, z)
    measured("task-res", outputs.logits, s * z @ t.T)


def test_published_defaults():
    method = TaskRes()
    recipe = method.recipe
    assert (method.alpha, recipe.lr, recipe.epochs, recipe.batch, recipe.weight_decay) == (0.5, 0.002, 100, 256, 5e-4)


def test_longer_texts_move_less(task):
    def turn(length: float) -> float:
        text = length * task.text
        t = TaskRes().fit(replace(task, text=text))(task.train.views[0]).classes
        return (t * text).sum(1).div(text.norm(dim=1)).mean().item()

    assert turn(0.1) < turn(1.0) < turn(10.0)


def test_permuting_classes_permutes_logits(task):
    order = torch.tensor([2, 0, 1])
    renamed = replace(task.train, labels=order.argsort()[task.train.labels])
    other = replace(task, classnames=("c", "a", "b"), text=task.text[order], train=renamed)
    image = task.train.views[0]
    method = TaskRes(recipe=Recipe(optimiser="adam", epochs=5, batch=4))
    torch.testing.assert_close(method.fit(other)(image).logits, method.fit(task)(image).logits[:, order])


def test_training_descends(task):
    losses: list[float] = []
    one_view = replace(task.train, views=task.train.views[:1])
    watched = replace(task, train=one_view, on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    outputs = TaskRes(recipe=Recipe(optimiser="adam", lr=0.2, epochs=30, batch=4)).fit(watched)(task.train.views[0])
    assert losses[-1] < 0.8 * losses[0]
    assert not outputs.logits.requires_grad


def test_diverging_training_is_an_error_that_names_the_epoch(task):
    task.train.views[1] = float("nan")
    with pytest.raises(TrainingError, match="epoch 2 of 3"):
        TaskRes(recipe=Recipe(optimiser="adam", epochs=3)).fit(task)


def test_the_authors_base_is_the_raw_mean_whatever_the_suites_length(task):
    """Several templates: the suite's text has unit length, their mean not; the residual then turns it less."""
    short = replace(task, text=task.text / task.text.norm(dim=1, keepdim=True), raw_text=task.text)
    image, three = task.train.views[0], Recipe(optimiser="adam", epochs=3)
    on_raw = TaskRes(base="raw", recipe=three).fit(short)(image).logits
    torch.testing.assert_close(on_raw, TaskRes(recipe=three).fit(task)(image).logits)
    assert not torch.allclose(on_raw, TaskRes(recipe=three).fit(short)(image).logits)
    torch.testing.assert_close(
        TaskRes(base="raw", recipe=three).fit(replace(task, raw_text=None))(image).logits, on_raw
    )
