"""What a predictor may return, and how many images it sees at once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from croftbench.authored import importing
from croftbench.errors import TrainingError
from croftbench.method import Outputs
from croftbench.runs import predict as evaluation

C, D, SCALE = 3, 4, 30.0
W = torch.nn.functional.normalize(torch.randn(C, D, generator=torch.Generator().manual_seed(0)), dim=1)


def info(**needs):
    return SimpleNamespace(name="m", transductive=False, **needs)


def predict(predictor, images, about=None):
    return list(evaluation.predict(predictor, images, C, SCALE, about or info()))


def test_chunks_are_smaller_where_there_are_many_classes():
    classes = torch.nn.functional.normalize(torch.randn(1000, D), dim=1)

    def predictor(f):
        z = torch.nn.functional.normalize(f, dim=1)
        return Outputs(SCALE * z @ classes.T, z, classes)

    parts = evaluation.predict(predictor, torch.randn(1100, D), 1000, SCALE, info())
    assert [len(part.logits) for part in parts] == [524, 524, 52]


def honest(f, **changed):
    z = torch.nn.functional.normalize(f, dim=1)
    return Outputs(**{"logits": SCALE * z @ W.T, "features": z, "classes": W} | changed)


def test_images_come_in_chunks_unless_the_method_is_transductive(monkeypatch):
    monkeypatch.setattr(evaluation, "LOGITS", 4 * C)
    images = torch.randn(10, D)
    assert [len(part.logits) for part in predict(honest, images)] == [4, 4, 2]
    whole = SimpleNamespace(name="m", transductive=True)
    assert [len(part.logits) for part in predict(honest, images, whole)] == [10]
    both = [evaluation.joined(predict(honest, images, about)) for about in (info(), whole)]
    assert torch.allclose(both[0].logits, both[1].logits)
    monkeypatch.setattr(evaluation, "PLACES", 12)
    with_places = torch.randn(10, 6, D)
    assert [len(p.logits) for p in predict(lambda f: honest(f[:, 0]), with_places)] == [2] * 5


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda f: {"logits": torch.zeros(len(f), C + 1)}, "logits of shape"),
        (lambda f: {"features": torch.zeros(1, D)}, r"features of shape \(1, 4\) for 10 images"),
        (lambda f: {"features": 3 * f / f.norm(dim=1, keepdim=True)}, "features of length 3, not 1.*unit"),
        (lambda f: {"features": f.new_zeros(len(f), D)}, "features of length 0, not 1"),
        (lambda f: {"classes": 2 * W}, "class features of length 2, not 1"),
        (lambda f: {"logits": torch.zeros(len(f), C, dtype=torch.complex64)}, "logits of type torch.complex64"),
        (lambda f: {"logits": np.zeros((len(f), C))}, "logits of type ndarray"),
        (lambda f: {"logits": torch.full((len(f), C), float("nan"))}, "not finite"),
        (lambda f: {"scores": {"own": torch.full((len(f),), float("inf"))}}, "not finite"),
        (lambda f: {"scores": {"own": torch.zeros(len(f), 1)}}, r"score 'own' of shape \(10, 1\)"),
        (lambda f: {"scores": {"energy": torch.zeros(len(f))}}, "not named like"),
        (lambda f: {"classes": W.flip(0)}, "do not give its logits"),
        (lambda f: {"classes": W[:2]}, "do not give its logits"),
    ],
)
def test_a_broken_promise_is_one_clear_error(wrong, says):
    with pytest.raises(TrainingError, match=says):
        predict(lambda f: honest(f, **wrong(f)), torch.randn(10, D))


def test_a_predictor_may_write_on_what_it_is_given():
    images = torch.randn(5, D)
    before = images.clone()
    predict(lambda f: honest(f.mul_(2)), images)
    assert torch.equal(images, before)


def test_what_is_not_outputs_is_told():
    with pytest.raises(TrainingError, match="m returned a Tensor, not Outputs"):
        predict(lambda f: f @ W.T, torch.randn(10, D))


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float16, torch.float64])
def test_votes_and_other_precisions_count_as_numbers(kind):
    def votes(f):
        outputs = honest(f)
        chosen = torch.nn.functional.one_hot(outputs.logits.argmax(1), C)
        return Outputs(chosen.to(kind), outputs.features, scores={"own": chosen[:, 0].to(kind)})

    images = torch.randn(10, D)
    (found,) = predict(votes, images)
    assert (found.logits.dtype, found.features.dtype, found.scores["own"].dtype) == (torch.float32,) * 3
    assert torch.equal(found.logits.argmax(1), honest(images).logits.argmax(1))


def test_no_gradient_is_kept_while_an_author_is_looked_up_for_the_first_time():
    class Lazy(SimpleNamespace):
        @property
        def author(self):
            with importing("a plugin"):
                return Outputs

    asked = []

    def predictor(f):
        asked.append(torch.is_grad_enabled())
        return honest(f)

    predict(predictor, torch.randn(3, D), Lazy(name="m", transductive=False))
    assert asked == [False]
