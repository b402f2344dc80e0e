"""CoOp: recorded outputs of the published code on the record's toy text tower; its options on a small real one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import UsageError
from croftbench.method import Examples, Renamable, Task, Towers
from croftbench.methods.coop import CoOp, PlacedPrompts
from croftbench.training import Recipe, optimiser, unit

NAMES = ("dog", "cat", "hot_dog", "bird", "fish")


class ToyTower:
    """The record's stand-in for CLIP's text tower: the mean over all 77 tokens, padding too, mixes them."""

    def __init__(self, record: dict[str, np.ndarray]) -> None:
        self.record = {name: torch.from_numpy(array) for name, array in record.items()}
        self.width = record["ctx"].shape[1]
        self.asked: list[str] = []

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        self.asked = list(texts)
        end = self.record["tokenized_prompts"].argmax(1) - 1 - len(self.record["ctx"])
        return self.record["token_suffix"], end

    def start(self) -> Tensor:
        return self.record["token_prefix"][0]

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        x = torch.cat([shared.expand(len(rest), -1, -1), rest], 1) + self.record["positional_embedding"]
        x = torch.tanh(x + 0.5 * x.mean(1, keepdim=True))
        return x[torch.arange(len(x)), len(shared) + end] @ self.record["text_projection"]


@pytest.fixture
def record(oracle: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return oracle("coop")


@pytest.fixture
def task(record: dict[str, np.ndarray]) -> Task:
    labels = torch.from_numpy(record["label"])
    image = torch.from_numpy(record["image"])
    return Task(
        classnames=NAMES,
        train=Examples(image[None], labels, torch.zeros_like(labels)),
        val=None,
        text=torch.zeros(5, 12, dtype=torch.float64),
        logit_scale=float(np.exp(record["log_scale"])),
        seed=3,
        towers=Towers(ToyTower(record)),
    )


def test_forward_matches_the_published_code(
    record: dict[str, np.ndarray], close: Callable[..., None], measured: Callable[..., None]
) -> None:
    tower = ToyTower(record)
    t = PlacedPrompts(tower, NAMES).placed(torch.from_numpy(record["ctx"]), 4)
    z = unit(torch.from_numpy(record["image"]))
    logits = float(np.exp(record["log_scale"])) * z @ t.T
    close(z, record["z"], 1e-10)
    measured("coop", logits, torch.from_numpy(record["logits"]))
    close(logits.logsumexp(1), record["energy"], 1e-10)


def test_step_matches_the_published_code(record: dict[str, np.ndarray], close: Callable[..., None]) -> None:
    tower = ToyTower(record)
    v = torch.from_numpy(record["ctx"].copy()).requires_grad_()
    z, s = unit(torch.from_numpy(record["image"])), float(np.exp(record["log_scale"]))
    t = PlacedPrompts(tower, NAMES).placed(v, 4)
    loss = cross_entropy(s * z @ t.T, torch.from_numpy(record["label"]))
    loss.backward()
    close(loss, record["step_loss"], 1e-10)
    close(v.grad, record["step_grad_ctx"], 1e-10)
    optimiser([v], Recipe(warmup_lr=0.002)).step()
    close(v, record["step_ctx"], 1e-10)


def test_fit_takes_the_published_step_from_its_own_draw(
    record: dict[str, np.ndarray], task: Task, monkeypatch: pytest.MonkeyPatch, close: Callable[..., None],
    measured: Callable[..., None],
) -> None:  # fmt: skip
    drawn: dict[str, object] = {}

    def recorded_context(*size: int, **options: object) -> Tensor:
        drawn.update(size=size, **options)
        return torch.from_numpy(record["ctx"]) / 0.02

    monkeypatch.setattr(torch, "randn", recorded_context)
    predict = CoOp(n_ctx=4, recipe=Recipe(warmup_lr=0.002, epochs=1, batch=8)).fit(task)
    assert drawn["size"] == (4, 8)
    assert isinstance(drawn["generator"], torch.Generator)
    tower = ToyTower(record)
    t = PlacedPrompts(tower, NAMES).placed(torch.from_numpy(record["step_ctx"]), 4)
    image = torch.from_numpy(record["image"])
    measured("coop", predict(image).logits, task.logit_scale * unit(image) @ t.T)
    close(predict(image).features, record["z"], 1e-10)


def test_prompts_are_names_with_spaces_and_a_full_stop(record: dict[str, np.ndarray]) -> None:
    tower = ToyTower(record)
    PlacedPrompts(tower, NAMES)
    assert tower.asked == ["dog.", "cat.", "hot dog.", "bird.", "fish."]


def test_training_descends_and_repeats_under_a_seed(task: Task) -> None:
    losses: list[float] = []
    watched = replace(task, on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    method = CoOp(n_ctx=4, recipe=Recipe(epochs=20, batch=4))
    image = task.train.views[0]
    first, again = method.fit(watched)(image).logits, method.fit(task)(image).logits
    assert torch.equal(first, again)
    assert losses[-1] < losses[0]
    other = method.fit(replace(task, seed=4))(image).logits
    assert not torch.equal(first, other)


def test_a_task_without_tower_names_the_fix(task: Task) -> None:
    with pytest.raises(UsageError, match=r'Needs\(text="tower"\)'):
        CoOp().fit(replace(task, towers=Towers()))


# ------------------------------------------------------------------------------ options, on a real text tower


def spelt_out(tiny: Any, v: Tensor, name: str, position: str) -> Tensor:
    """One class's text feature from a prompt put together token by token, and padded as CLIP pads."""
    m, n = len(v), tiny.tokens(name)
    filler = tiny.embed(f"{'X ' * m}{name}.")  # [SOS] X ... X name . [EOS] padding
    sos, rest = filler[:1], filler[1 + m :]
    half = m // 2
    pieces = {
        "end": [sos, v, rest],
        "middle": [sos, v[:half], rest[:n], v[half:], rest[n:]],
        "front": [sos, rest[:n], v, rest[n:]],
    }[position]
    feature: Tensor = tiny.read(torch.cat(pieces), end=m + tiny.tokens(f"{name}.") + 1)
    return feature


@pytest.mark.parametrize("specific", [False, True])
@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("m", [5, 1])
def test_every_prompt_is_the_one_spelt_out(tiny: Any, position: str, specific: bool, m: int) -> None:
    names = ("dog", "hot_dog", "hook (tool)", "3D")
    shape = (len(names), m, 32) if specific else (m, 32)
    v = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    h = {"end": m, "middle": m // 2, "front": 0}[position]
    t = PlacedPrompts(tiny.tower, names).placed(v, h)
    written = [name.replace("_", " ") for name in names]
    slow = torch.stack([spelt_out(tiny, v[c] if specific else v, name, position) for c, name in enumerate(written)])
    slow = slow / slow.norm(dim=1, keepdim=True)
    assert torch.allclose(t, slow, atol=1e-12)
    weight = torch.randn(t.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (fast_gradient,) = torch.autograd.grad((t * weight).sum(), v)
    (slow_gradient,) = torch.autograd.grad((slow * weight).sum(), v)
    assert torch.allclose(fast_gradient, slow_gradient, atol=1e-12)


@pytest.mark.parametrize("specific", [False, True])
def test_words_start_where_hand_written_prompts_are(tiny: Any, tiny_task: Callable[..., Task], specific: bool) -> None:
    task = tiny_task()
    image = task.train.views[0]
    method = CoOp(words="a photo of a", class_specific=specific, recipe=Recipe(epochs=0))
    outputs = method.fit(task)(image)
    assert torch.allclose(outputs.logits, task.logit_scale * unit(image) @ unit(task.text).T, atol=1e-12)
    assert outputs.classes is not None
    assert torch.allclose(outputs.classes, unit(task.text), atol=1e-12)
    tokens = method.initial(tiny.tower, 3, task.generator()).shape[-2]
    assert tokens == 4
    assert len(CoOp(words="hand-drawn emoji").initial(tiny.tower, 3, task.generator())) == tiny.tokens(
        "hand-drawn emoji"
    )


def test_class_specific_contexts_start_at_random_and_apart(tiny: Any, tiny_task: Callable[..., Task]) -> None:
    v = CoOp(n_ctx=6, class_specific=True).initial(tiny.tower, 3, tiny_task().generator())
    assert v.shape == (3, 6, 32)
    assert 0.015 < v.std() < 0.025
    assert not torch.equal(v[0], v[1])


@pytest.mark.parametrize("specific", [False, True])
@pytest.mark.parametrize("position", ["end", "middle"])
def test_permuting_classes_permutes_logits(
    tiny_task: Callable[..., Task], position: Literal["end", "middle"], specific: bool
) -> None:
    words = "a photo of a" if specific else ""  # random contexts of classes are drawn in their order
    method = CoOp(5, specific, position, words, Recipe(epochs=2, batch=6))
    order = (2, 0, 1)
    image = tiny_task().train.views[1]
    one, other = method.fit(tiny_task())(image).logits, method.fit(tiny_task(order))(image).logits
    assert torch.allclose(other, one[:, order], atol=1e-9)


def test_a_class_specific_context_moves_by_its_own_prompt_alone(tiny: Any) -> None:
    v = torch.randn(3, 4, 32, dtype=torch.float64, requires_grad=True)
    t = PlacedPrompts(tiny.tower, ("dog", "cat", "hot dog")).placed(v, 2)
    (gradient,) = torch.autograd.grad(t[1].sum(), v)
    assert gradient[[0, 2]].abs().max() == 0
    assert (gradient[1].abs().amax(1) > 0).all()


def test_an_unusable_context_is_one_clear_line(tiny_task: Callable[..., Task]) -> None:
    with pytest.raises(ValueError, match="n_ctx must be 1 or more"):
        CoOp(n_ctx=0)
    with pytest.raises(UsageError, match=r"the text tower reads 24.*--set n_ctx"):
        CoOp(n_ctx=20, position="middle").fit(tiny_task())


def test_the_loss_is_the_mean_cross_entropy_of_scaled_cosines(tiny: Any, tiny_task: Callable[..., Task]) -> None:
    task = tiny_task()
    few = Examples(task.train.views[:1, :4], task.train.labels[:4], task.train.domains[:4])
    reported: list[float] = []
    task = replace(task, train=few, on_epoch=lambda epoch, epochs, loss: reported.append(loss))
    CoOp(words="a photo of a", recipe=Recipe(epochs=1, batch=4)).fit(task)
    total = 0.0
    for image, label in zip(few.views[0], few.labels.tolist(), strict=True):
        odds = []
        for name in ("dog", "hot dog", "hook and loop fastener (tape)"):
            prompt = f"a photo of a {name}."
            text = tiny.read(tiny.embed(prompt), tiny.tokens(prompt) + 1)
            cosine = sum(float(a * b) for a, b in zip(image, text, strict=True)) / float(image.norm() * text.norm())
            odds.append(math.exp(20 * cosine))
        total -= math.log(odds[label] / sum(odds)) / 4
    assert reported == [pytest.approx(total, rel=1e-10)]


def test_the_learned_context_goes_with_other_names(task: Task, record: dict[str, np.ndarray]) -> None:
    predictor = CoOp(n_ctx=len(record["ctx"]), recipe=Recipe(epochs=1)).fit(task)
    assert isinstance(predictor, Renamable)
    others = ("owl", "cow", "fox", "ant", "bee")
    renamed = predictor.with_classes(others, task.text)
    images = torch.from_numpy(record["image"])
    logits = renamed(images).logits
    assert logits.shape == (len(images), 5)
    assert task.towers.text.asked == [f"{name}." for name in others]  # type: ignore[attr-defined]
    torch.testing.assert_close(logits, predictor(images).logits)  # the toy tower reads the same tokens for any names
