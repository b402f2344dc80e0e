"""ProLIP against its equation written out, one image at a time, and Adam by hand."""

from dataclasses import replace

import pytest
import torch

from croftbench.method import Examples, Projection, Task, Towers
from croftbench.methods.prolip import ProLIP
from croftbench.training import Recipe

W, D, S = 7, 4, 20.0


@pytest.fixture(params=["with a bias", "without"])
def task(request) -> Task:
    rng = torch.Generator().manual_seed(3)

    def tensor(*shape):
        return torch.randn(*shape, generator=rng).double()

    last = Projection(tensor(W, D), tensor(D) if request.param == "with a bias" else None)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    return Task(
        ("a", "b", "c"), Examples(tensor(2, 6, W), labels, torch.zeros(6)), None, tensor(3, D), S, seed=1,
        towers=Towers(projection=last),
    )  # fmt: skip


def classified(P, b, task, x):
    rows = []
    for image in x:
        feature = sum(image[i] * P[i] for i in range(W)) + (0 if b is None else b)
        rows.append([S * (feature @ t) / feature.norm() / t.norm() for t in task.text])
    return torch.stack([torch.stack(row) for row in rows])


def test_three_steps_restated(task, measured):
    """Two images a class: lambda is a half. The third rate is the cosine's, the third view the first again."""
    last, rate, epochs = task.towers.projection, 0.01, 4
    P = last.weight.clone()
    first, second, losses = torch.zeros_like(P), torch.zeros_like(P), []
    for epoch in range(epochs):
        P.requires_grad_()
        logits = classified(P, last.bias, task, task.train.views[epoch % 2])
        right = -sum(row.log_softmax(0)[y] for row, y in zip(logits, task.train.labels, strict=True)) / 6
        loss = right + 0.5 * ((P - last.weight) ** 2).sum()
        losses.append(loss.item())
        (g,) = torch.autograd.grad(loss, P)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        lr = rate * (1 + torch.cos(torch.tensor(torch.pi * epoch / epochs, dtype=torch.float64))) / 2
        step = first / (1 - 0.9 ** (epoch + 1)) / ((second / (1 - 0.999 ** (epoch + 1))).sqrt() + 1e-4)
        P = P.detach() - lr * step
    seen = []
    watched = replace(task, on_epoch=lambda *at: seen.append(at[2]))
    method = ProLIP(recipe=replace(ProLIP().recipe, lr=rate, epochs=epochs))
    x = task.train.views[1]
    outputs = method.fit(watched)(x)
    assert seen == pytest.approx(losses, rel=1e-12)
    measured("prolip", outputs.logits, classified(P, last.bias, task, x))


def test_untrained_it_is_zero_shot_and_the_encoders_own_projection_stays(task):
    last = task.towers.projection
    kept = last.weight.clone()
    x = task.train.views[0]
    z = last(x) / last(x).norm(dim=1, keepdim=True)
    untrained = ProLIP(recipe=replace(ProLIP().recipe, lr=1e-99)).fit(task)(x)
    torch.testing.assert_close(untrained.features, z)
    ProLIP(recipe=replace(ProLIP().recipe, lr=0.1, epochs=5)).fit(task)
    assert torch.equal(last.weight, kept)


def test_a_heavier_penalty_keeps_it_nearer(task):
    x = task.train.views[0]
    recipe = Recipe(optimiser="adam", lr=0.01, epochs=50, batch=100, weight_decay=0.0, warmup=0)
    zero_shot = ProLIP(recipe=replace(recipe, lr=1e-99)).fit(task)(x).logits
    moved = [
        (ProLIP(penalty=p, by_shots=False, recipe=recipe).fit(task)(x).logits - zero_shot).norm().item()
        for p in (0.0, 1.0, 100.0)
    ]
    assert moved[0] > moved[1] > moved[2]


def test_other_names_give_their_columns(task):
    predictor, x = ProLIP().fit(task), task.train.views[0]
    torch.testing.assert_close(
        predictor.with_classes(("c", "a"), task.text[[2, 0]])(x).logits, predictor(x).logits[:, [2, 0]]
    )


def test_published_defaults():
    method = ProLIP()
    asked = method.recipe
    assert (method.penalty, method.by_shots, asked.lr, asked.epochs, asked.eps) == (1.0, True, 1e-5, 300, 1e-4)
