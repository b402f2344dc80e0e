"""CoCoOp: recorded outputs of the published code on the record's toy text tower; prompts spelt out on a real one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from croftbench.encoders import text_tower
from croftbench.errors import UsageError
from croftbench.method import Examples, Task
from croftbench.methods import cocoop
from croftbench.methods.cocoop import CoCoOp, Weights, class_logits
from croftbench.methods.coop import CoOp
from croftbench.prompting import Prompts, initial_context
from croftbench.training import Recipe, unit

NAMES = ("dog", "hot_dog", "hook and loop fastener (tape)")


class ToyTower:
    """The record's stand-in for CLIP's text tower: the mean over all 77 tokens, padding too, mixes them."""

    def __init__(self, record: dict[str, np.ndarray]) -> None:
        self.record = {name: torch.from_numpy(array) for name, array in record.items()}
        self.width = record["ctx"].shape[1]

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        return self.record["token_suffix"], self.record["tokenized_prompts"].argmax(1) - 1 - len(self.record["ctx"])

    def start(self) -> Tensor:
        return self.record["token_prefix"][0]

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        features = []
        for one in shared:
            x = torch.cat([one.expand(len(rest), -1, -1), rest], 1) + self.record["positional_embedding"]
            x = torch.tanh(x + 0.5 * x.mean(1, keepdim=True))
            features.append(x[torch.arange(len(x)), len(one) + end] @ self.record["text_projection"])
        return torch.stack(features)


def test_forward_matches_the_published_code(
    oracle: Callable[[str], dict[str, np.ndarray]], close: Callable[..., None],
    measured: Callable[..., None],
) -> None:  # fmt: skip
    record = oracle("cocoop")
    tower = ToyTower(record)
    weights = Weights(*(torch.from_numpy(record[name]) for name in ("ctx", "l1_w", "l1_b", "l2_w", "l2_b")))
    z = unit(torch.from_numpy(record["image"]))
    logits = class_logits(weights, z, Prompts(tower, ("x",) * 5), float(np.exp(record["log_scale"])))
    close(z, record["z"], 1e-10)
    measured("cocoop", logits, torch.from_numpy(record["logits"]))
    close(logits.logsumexp(1), record["energy"], 1e-10)


def random_weights(seed: int = 0) -> Weights:
    """A context of five vectors, and a meta-net that moves it by about as much."""
    rng = torch.Generator().manual_seed(seed)
    weights = Weights.initial(torch.randn(5, 32, generator=rng, dtype=torch.float64), 16, rng)
    return Weights(*(w.detach().mul(3).requires_grad_() for w in weights))


def spelt_out(tiny: Any, weights: Weights, image: Tensor) -> list[Tensor]:
    """One image's logits at scale 20: a padded prompt a class, put together token by token, and plain sums."""
    v, A, a, B, b = weights
    z = image / image.norm()
    moved = torch.stack([(row * torch.clamp((A * z).sum(1) + a, min=0)).sum() for row in B]) + b
    context = torch.stack([vector + moved for vector in v])
    logits = []
    for name in (n.replace("_", " ") for n in NAMES):
        filler = tiny.embed(f"{'X ' * len(v)}{name}.")
        prompt = torch.cat([filler[:1], context, filler[1 + len(v) :]])
        text = tiny.read(prompt, len(v) + tiny.tokens(f"{name}.") + 1)
        logits.append(20 * (z * text).sum() / text.norm())
    return logits


@pytest.mark.parametrize(("tokens", "kept"), [(4096, 2**30), (40, 2**30), (40, 0)])
def test_logits_and_all_gradients_are_those_of_the_prompts_spelt_out(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, measured: Callable[..., None], tokens: int, kept: int
) -> None:
    """At once, in chunks, and in chunks that are computed again for the gradients."""
    monkeypatch.setattr(text_tower, "TOKENS", tokens)
    monkeypatch.setattr(text_tower, "KEPT", kept)
    weights = random_weights()
    images = torch.randn(4, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fast = class_logits(weights, unit(images), Prompts(tiny.tower, NAMES), 20.0)
    slow = torch.stack([torch.stack(spelt_out(tiny, weights, image)) for image in images])
    measured("cocoop", fast, slow)
    weight = torch.randn(fast.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradients = torch.autograd.grad((fast * weight).sum(), weights)
    for one, other in zip(gradients, torch.autograd.grad((slow * weight).sum(), weights), strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, atol=1e-10)


def test_the_loss_is_the_mean_cross_entropy(tiny: Any, tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    few = Examples(task.train.views[:1, :4], task.train.labels[:4], task.train.domains[:4])
    reported: list[float] = []
    task = replace(task, train=few, on_epoch=lambda epoch, epochs, loss: reported.append(loss))
    method = CoCoOp(n_ctx=5, recipe=Recipe(epochs=1, batch=4))
    method.fit(task)
    rng = task.generator()
    weights = Weights.initial(initial_context(tiny.tower, (5, 32), rng), 16, rng)
    total = 0.0
    for image, label in zip(few.views[0], few.labels.tolist(), strict=True):
        odds = [math.exp(logit.item()) for logit in spelt_out(tiny, weights, image)]
        total -= math.log(odds[label] / sum(odds)) / 4
    assert reported == [pytest.approx(total, rel=1e-10)]


def test_a_meta_net_of_zeros_leaves_coop(tiny: Any) -> None:
    weights = random_weights()
    still = weights._replace(B=torch.zeros_like(weights.B), b=torch.zeros_like(weights.b))
    z = unit(torch.randn(6, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    t = Prompts(tiny.tower, NAMES).features(weights.v)
    logits = class_logits(still, z, Prompts(tiny.tower, NAMES), 20.0)
    assert torch.allclose(logits, 20 * z @ t.T, atol=1e-12)


def test_it_starts_as_the_published_code_does(tiny: Any, tiny_task: Callable[..., Task]) -> None:
    rng = tiny_task().generator()
    v, A, a, B, b = Weights.initial(initial_context(tiny.tower, (16, 32), rng), 512, rng)
    assert v.shape == (16, 32)
    assert 0.015 < v.std() < 0.025
    assert (A.shape, a.shape, B.shape, b.shape) == ((32, 512), (32,), (32, 32), (32,))
    for weight, inputs in ((A, 512), (a, 512), (B, 32), (b, 32)):  # torch.nn.Linear: uniform in +-1/sqrt(inputs)
        bound = inputs**-0.5
        assert 0.8 * bound < weight.abs().max() <= bound
        assert 0.4 * bound < weight.std() < 0.8 * bound


def test_every_batch_size_sees_the_same_prompts(
    tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks at test change nothing, and the tower's shared path is what is used there and in training."""
    task, images = tiny_task(), torch.randn(7, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    shapes: list[tuple[int, ...]] = []
    encode = text_tower.PromptTower.encode

    def watched(self: Any, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        shapes.append(tuple(shared.shape))
        return encode(self, shared, rest, end)

    monkeypatch.setattr(text_tower.PromptTower, "encode", watched)
    predict = CoCoOp(n_ctx=5, recipe=Recipe(epochs=1, batch=6)).fit(task)
    whole = predict(images)
    monkeypatch.setattr(cocoop, "CHUNK", 3)
    assert torch.allclose(predict(images).logits, whole.logits, atol=1e-12)
    assert shapes == [(6, 6, 32)] * 2 + [(7, 6, 32)] + [(3, 6, 32)] * 2 + [(1, 6, 32)]
    assert not whole.logits.requires_grad
    assert whole.classes is None  # each image has class features of its own


def test_permuting_classes_permutes_logits(tiny_task: Callable[..., Task]) -> None:
    method = CoCoOp(n_ctx=5, recipe=Recipe(epochs=2, batch=6))
    order = (2, 0, 1)
    image = tiny_task().train.views[1]
    one, other = method.fit(tiny_task())(image).logits, method.fit(tiny_task(order))(image).logits
    assert torch.allclose(other, one[:, order], atol=1e-9)


def test_training_descends_and_conditions_on_the_image(tiny_task: Callable[..., Task]) -> None:
    losses: list[float] = []
    task = replace(tiny_task(), on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    CoCoOp(n_ctx=5, recipe=Recipe(epochs=5, batch=6, lr=0.05)).fit(task)
    assert losses[-1] < losses[0]
    plain = CoOp(n_ctx=5, recipe=Recipe(epochs=0)).fit(task)(task.train.views[0])
    own = CoCoOp(n_ctx=5, recipe=Recipe(epochs=0)).fit(task)(task.train.views[0])
    assert not torch.allclose(plain.logits, own.logits)


def test_an_unusable_context_is_one_clear_line(tiny_task: Callable[..., Task]) -> None:
    with pytest.raises(ValueError, match="n_ctx must be 1 or more"):
        CoCoOp(n_ctx=0)
    with pytest.raises(UsageError, match=r"the text tower reads 24.*--set n_ctx"):
        CoCoOp(n_ctx=20).fit(tiny_task())
