"""GL-MCM: zero-shot CLIP's classes, and its score written out."""

import math
from collections.abc import Callable

import pytest
import torch

from croftbench import scorers
from croftbench.method import Examples, Task
from croftbench.methods.gl_mcm import GLMCM
from croftbench.methods.zero_shot import ZeroShot
from croftbench.scorers.places import gl_mcm
from croftbench.training import unit


@pytest.fixture
def task() -> Task:
    text = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    none = torch.zeros(0, dtype=torch.long)
    return Task(("a", "b", "c"), Examples(torch.zeros(1, 0, 6), none, none), None, text, 100.0, seed=1)


@pytest.fixture
def images() -> torch.Tensor:
    """Four images of five places."""
    return torch.randn(4, 1 + 5, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize(("weight", "tau"), [(0.5, 1.0), (1.0, 0.1)])
def test_logits_and_score_written_out(
    task: Task, images: torch.Tensor, measured: Callable[..., None], weight: float, tau: float
) -> None:
    found = GLMCM(weight, tau).fit(task)(images)

    def cosines(feature: torch.Tensor) -> list[float]:
        return [float(feature @ t / feature.norm() / t.norm()) for t in task.text]

    def likeliest(feature: torch.Tensor) -> float:
        powers = [math.exp(cosine / tau) for cosine in cosines(feature)]
        return max(powers) / sum(powers)

    logits, scores = [], []
    for image in images:
        logits.append([100 * cosine for cosine in cosines(image[0])])
        published = likeliest(image[0]) + weight * max(likeliest(place) for place in image[1:])
        scores.append(math.log(published / (1 + weight - published)) + math.log(len(task.text) - 1))
    measured("gl-mcm", found.logits, torch.tensor(logits, dtype=torch.float64))
    measured("gl-mcm", found.scores["gl_mcm"], torch.tensor(scores, dtype=torch.float64))


def test_the_classes_are_those_of_zero_shot_clip(task: Task, images: torch.Tensor) -> None:
    one, two = GLMCM().fit(task)(images), ZeroShot().fit(task)(images[:, 0])
    assert torch.equal(one.logits, two.logits)
    assert torch.equal(one.features, two.features)
    assert torch.equal(one.classes, two.classes)


def test_without_weight_it_is_mcm(task: Task, images: torch.Tensor) -> None:
    outputs = GLMCM(lambda_local=0.0).fit(task)(images)
    context = scorers.Context(pytest.fail, torch.zeros(1), task.logit_scale, task.classnames, ["{}"], pytest.fail)
    torch.testing.assert_close(outputs.scores["gl_mcm"], scorers.fit("mcm", context)(outputs))


def test_a_sure_image_is_told_from_a_surer_one() -> None:
    """At a low temperature both probabilities are 1 in float32, and their sum a constant."""
    t = unit(torch.eye(3) + 0.1)
    z = unit(t[:1] + torch.tensor([[0.0, 0.3, 0.0], [0.0, 0.2, 0.0], [0.0, 0.1, 0.0]]))
    scores = gl_mcm(z, z[:, None], t, tau=0.01)
    assert scores.dtype == torch.float32
    assert scores[0] < scores[1] < scores[2]


def test_order_of_places_and_classes_does_not_matter(images: torch.Tensor) -> None:
    z, p, t = unit(images[:, 0]), unit(images[:, 1:]), unit(images[0, :3])
    torch.testing.assert_close(gl_mcm(z, p, t), gl_mcm(z, p[:, [4, 2, 0, 1, 3]], t[[2, 0, 1]]))
