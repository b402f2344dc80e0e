"""CLIP-Adapter against the recorded outputs of the published code, and against its equation in plain loops."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import TrainingError, UsageError
from croftbench.method import Examples, Task
from croftbench.methods import clip_adapter
from croftbench.methods.clip_adapter import CLIPAdapter, adapt, linear
from croftbench.methods.zero_shot import ZeroShot
from croftbench.training import Recipe, optimiser, unit

ONE_STEP = Recipe(warmup_lr=0.002, epochs=1, batch=8)


@pytest.fixture
def record(oracle) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in oracle("clip_adapter").items()}


@pytest.fixture
def task(record) -> Task:
    train = Examples(record["image"][None], record["label"], torch.zeros_like(record["label"]))
    return Task(tuple("abcde"), train, None, record["text_features"], record["log_scale"].exp().item(), seed=3)


def test_forward_matches_the_published_code(record, close, measured):
    z = adapt(record["image"], record["init_down"], record["init_up"], 0.2)
    logits = record["log_scale"].exp() * z @ unit(record["text_features"]).T
    close(z, record["z"].numpy())
    measured("clip-adapter", logits, record["logits"])
    close(logits.logsumexp(1), record["energy"].numpy())


def test_step_matches_the_published_code(record, close):
    A, B = (record[name].clone().requires_grad_() for name in ("init_down", "init_up"))
    z = adapt(record["image"], A, B, 0.2)
    loss = cross_entropy(record["log_scale"].exp() * z @ unit(record["text_features"]).T, record["label"])
    loss.backward()
    close(loss, record["step_loss"].numpy())
    close(A.grad, record["grad_down"].numpy())
    close(B.grad, record["grad_up"].numpy())
    optimiser([A, B], ONE_STEP).step()
    close(A, record["post_down"].numpy())
    close(B, record["post_up"].numpy())


def test_fit_takes_the_published_step_from_its_own_draw(record, task, monkeypatch, close, measured):
    start = iter([record["init_down"], record["init_up"]])
    asked = []

    def recorded(outputs: int, inputs: int, like: Tensor, rng: torch.Generator) -> Tensor:
        asked.append((outputs, inputs))
        return next(start).clone().requires_grad_()

    monkeypatch.setattr(clip_adapter, "linear", recorded)
    outputs = CLIPAdapter(recipe=ONE_STEP).fit(task)(record["image"])
    assert asked == [(3, 12), (12, 3)]
    z = adapt(record["image"], record["post_down"], record["post_up"], 0.2)
    close(outputs.features, z.numpy())
    measured("clip-adapter", outputs.logits, task.logit_scale * z @ unit(task.text).T)
    close(task.logit_scale * outputs.features @ outputs.classes.T, outputs.logits.numpy())


def test_loss_restated_for_four_images_and_three_classes(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    f, e = 5 * torch.randn(4, 8, generator=rng).double(), torch.randn(3, 8, generator=rng).double()
    A, B = torch.randn(2, 8, generator=rng).double(), torch.randn(8, 2, generator=rng).double()
    y, s, r = [2, 0, 1, 1], 20.0, 0.3
    total = 0.0
    for i in range(4):
        hidden = [max(0.0, float(sum(A[k, d] * f[i, d] for d in range(8)))) for k in range(2)]
        h = [max(0.0, float(sum(B[d, k] * hidden[k] for k in range(2)))) for d in range(8)]
        mixed = torch.tensor([r * h[d] + (1 - r) * float(f[i, d]) for d in range(8)], dtype=torch.float64)
        cosines = [float(mixed @ e[c] / (mixed.norm() * e[c].norm())) for c in range(3)]
        scaled = torch.tensor([s * cosine for cosine in cosines], dtype=torch.float64)
        total -= float(scaled[y[i]] - scaled.exp().sum().log())
    start, reported = iter([A, B]), []
    monkeypatch.setattr(clip_adapter, "linear", lambda *_: next(start).clone().requires_grad_())
    train = Examples(f[None], torch.tensor(y), torch.zeros(4))
    task = Task(("a", "b", "c"), train, None, e, s, 1, on_epoch=lambda *at: reported.append(at))
    CLIPAdapter(ratio=r, recipe=Recipe(epochs=1)).fit(task)
    assert reported == [(0, 1, pytest.approx(total / 4, rel=1e-12))]


def test_weights_start_as_a_pytorch_linear_layer_does():
    like = torch.zeros(1, dtype=torch.float64)
    W = linear(200, 16, like, torch.Generator().manual_seed(1))
    reference = torch.nn.Linear(16, 200, bias=False).weight.detach()
    assert W.dtype == torch.float64 and W.requires_grad and W.is_leaf
    assert W.abs().max() <= 0.25 and reference.abs().max() <= 0.25
    assert W.detach().std().item() == pytest.approx(reference.std().item(), rel=0.1)
    assert torch.equal(W, linear(200, 16, like, torch.Generator().manual_seed(1)))


def test_the_length_of_features_drops_out(task):
    longer = replace(task, train=replace(task.train, views=40 * task.train.views))
    method, image = CLIPAdapter(recipe=Recipe(epochs=3, batch=4)), task.train.views[0]
    torch.testing.assert_close(method.fit(longer)(7 * image).logits, method.fit(task)(image).logits)


def test_ratio_zero_is_zero_shot_whatever_was_trained(task):
    image = task.train.views[0]
    adapted = CLIPAdapter(ratio=0.0, recipe=Recipe(epochs=3)).fit(task)(image)
    torch.testing.assert_close(adapted.logits, ZeroShot().fit(task)(image).logits)


def test_permuting_classes_permutes_logits(task):
    order = torch.tensor([3, 0, 4, 1, 2])
    renamed = replace(task.train, labels=order.argsort()[task.train.labels])
    other = replace(task, classnames=tuple("daebc"), text=task.text[order], train=renamed)
    method, image = CLIPAdapter(recipe=Recipe(epochs=2, batch=4)), task.train.views[0]
    torch.testing.assert_close(method.fit(other)(image).logits, method.fit(task)(image).logits[:, order])


def test_training_descends_and_leaves_the_seed_in_charge(task):
    losses: list[float] = []
    watched = replace(task, on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    method, image = CLIPAdapter(recipe=Recipe(epochs=20, batch=8, weight_decay=0.0)), task.train.views[0]
    first = method.fit(watched)(image).logits
    assert losses[-1] < losses[0]
    assert not first.requires_grad
    assert not torch.equal(first, method.fit(replace(task, seed=4))(image).logits)


@pytest.mark.parametrize("reduction", [0, 13])
def test_a_bottleneck_that_cannot_be(task, reduction):
    with pytest.raises(UsageError, match=r"not in 1\.\.12"):
        CLIPAdapter(reduction=reduction).fit(task)


def test_diverging_training_is_an_error_that_names_the_epoch(task):
    views = task.train.views.repeat(2, 1, 1)
    views[1] = float("nan")
    with pytest.raises(TrainingError, match="epoch 2 of 3"):
        CLIPAdapter(recipe=Recipe(epochs=3)).fit(replace(task, train=replace(task.train, views=views)))
