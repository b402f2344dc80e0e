"""The cross-modal probe against its equation, with a step by hand, and what it promises whatever the data."""

from dataclasses import replace

import torch

from croftbench.methods.cross_modal import CrossModal, shuffled
from croftbench.training import Recipe, unit
from tests.methods.features import SCALE, small_task

ONE = Recipe(lr=0.1, epochs=1, batch=24, momentum=0.0, weight_decay=0.0, warmup=0, schedule="constant")


def test_texts_come_in_turns():
    texts = shuffled(4, torch.Generator().manual_seed(0))
    for _ in range(3):
        assert sorted(next(texts) for _ in range(4)) == [0, 1, 2, 3]


def test_a_step_by_hand(measured):
    """24 images and 24 texts: each of three texts eight times, whatever their order."""
    task = small_task(views=1)
    z, t, y = unit(task.train.views[0]), unit(task.text), task.train.labels
    W = t.clone().requires_grad_()
    x, labels = torch.cat([z, t.repeat(8, 1)]), torch.cat([y, torch.arange(3).repeat(8)])
    (-(SCALE * x @ W.T).log_softmax(1)[torch.arange(48), labels].mean()).backward()
    head = (t - 0.1 * W.grad).detach()
    outputs = CrossModal(recipe=ONE).fit(task)(9 * task.train.views[0])
    measured("cross-modal", outputs.logits, SCALE * z @ head.T)
    assert outputs.classes is None, "the head is not of unit length"


def test_texts_teach_classes_that_images_do_not_show():
    task = small_task(images=60)
    shown = task.train.labels < 2
    half = replace(
        task, train=replace(task.train, views=task.train.views[:, shown], labels=task.train.labels[shown],
                            domains=task.train.domains[shown]),
    )  # fmt: skip
    predicted = CrossModal(recipe=replace(ONE, epochs=200)).fit(half)(task.text).logits.argmax(1)
    assert predicted.tolist() == [0, 1, 2]
