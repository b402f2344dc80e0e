"""CoOp against the recorded outputs of the published code, on the record's toy text tower."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import UsageError
from croftbench.method import Examples, Renamable, Task, Towers
from croftbench.methods.coop import CoOp, class_features, prompts
from croftbench.training import Recipe, sgd, unit

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


def test_forward_matches_the_published_code(record: dict[str, np.ndarray], close: Callable[..., None]) -> None:
    tower = ToyTower(record)
    t = class_features(tower, torch.from_numpy(record["ctx"]), prompts(tower, NAMES))
    z = unit(torch.from_numpy(record["image"]))
    logits = float(np.exp(record["log_scale"])) * z @ t.T
    close(z, record["z"], 1e-10)
    close(logits, record["logits"], 1e-10)
    close(logits.logsumexp(1), record["energy"], 1e-10)


def test_step_matches_the_published_code(record: dict[str, np.ndarray], close: Callable[..., None]) -> None:
    tower = ToyTower(record)
    v = torch.from_numpy(record["ctx"].copy()).requires_grad_()
    z, s = unit(torch.from_numpy(record["image"])), float(np.exp(record["log_scale"]))
    loss = cross_entropy(s * z @ class_features(tower, v, prompts(tower, NAMES)).T, torch.from_numpy(record["label"]))
    loss.backward()
    close(loss, record["step_loss"], 1e-10)
    close(v.grad, record["step_grad_ctx"], 1e-10)
    sgd([v], Recipe(warmup_lr=0.002)).step()
    close(v, record["step_ctx"], 1e-10)


def test_fit_takes_the_published_step_from_its_own_draw(
    record: dict[str, np.ndarray], task: Task, monkeypatch: pytest.MonkeyPatch, close: Callable[..., None]
) -> None:
    drawn: dict[str, object] = {}

    def recorded_context(*size: int, **options: object) -> Tensor:
        drawn.update(size=size, **options)
        return torch.from_numpy(record["ctx"]) / 0.02

    monkeypatch.setattr(torch, "randn", recorded_context)
    predict = CoOp(n_ctx=4, recipe=Recipe(warmup_lr=0.002, epochs=1, batch=8)).fit(task)
    assert drawn["size"] == (4, 8)
    assert isinstance(drawn["generator"], torch.Generator)
    tower = ToyTower(record)
    t = class_features(tower, torch.from_numpy(record["step_ctx"]), prompts(tower, NAMES))
    image = torch.from_numpy(record["image"])
    close(predict(image).logits, (task.logit_scale * unit(image) @ t.T).numpy(), 1e-10)
    close(predict(image).features, record["z"], 1e-10)


def test_prompts_are_names_with_spaces_and_a_full_stop(record: dict[str, np.ndarray]) -> None:
    tower = ToyTower(record)
    prompts(tower, NAMES)
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
