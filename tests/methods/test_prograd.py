"""ProGrad: both gradients and their projection in plain sums, and the properties of the step."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from croftbench.errors import UsageError
from croftbench.method import Examples, Task
from croftbench.methods.coop import CoOp
from croftbench.methods.prograd import ProGrad, aligned, divergence, words_of
from croftbench.prompting import Prompts
from croftbench.training import Recipe, unit


def softmax(row: list[float], T: float) -> list[float]:
    odds = [math.exp(x / T) for x in row]
    return [x / sum(odds) for x in odds]


@pytest.mark.parametrize("T", [1.0, 2.5])
def test_the_divergence_in_plain_sums(T: float) -> None:
    random = torch.Generator().manual_seed(0)
    logits, zero_shot = (3 * torch.randn(4, 3, generator=random, dtype=torch.float64) for _ in range(2))
    total = 0.0
    for row, row0 in zip(logits.tolist(), zero_shot.tolist(), strict=True):
        for p, p0 in zip(softmax(row, T), softmax(row0, T), strict=True):
            total += T * T * p0 * math.log(p0 / p) / 4
    assert divergence(logits, zero_shot, T).item() == pytest.approx(total, rel=1e-12)
    assert divergence(zero_shot, zero_shot, T).item() == pytest.approx(0, abs=1e-12)


def test_its_gradient_is_that_of_the_published_cross_entropy() -> None:
    """The published loss is the cross entropy with the zero-shot predictions: the same but for a constant."""
    random = torch.Generator().manual_seed(0)
    logits, zero_shot = (torch.randn(4, 3, generator=random, dtype=torch.float64).requires_grad_() for _ in range(2))
    published = (-(zero_shot / 2).softmax(1).detach() * (logits / 2).log_softmax(1) * 4).sum(1).mean()
    (one,) = torch.autograd.grad(divergence(logits, zero_shot.detach(), 2.0), logits)
    (other,) = torch.autograd.grad(published, logits)
    assert torch.allclose(one, other, atol=1e-14)


def test_what_agrees_is_left_alone_and_what_conflicts_is_projected() -> None:
    G_g = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    agreeing = torch.tensor([[1.0, 3.0], [5.0, -1.0]])
    assert torch.equal(aligned(agreeing, G_g, 1.0), agreeing)
    conflicting = torch.tensor([[1.0, -3.0], [5.0, -1.0]])
    assert torch.equal(aligned(conflicting, G_g, 1.0), torch.tensor([[1.0, 0.0], [5.0, -1.0]]))
    assert torch.allclose(aligned(conflicting, G_g, 0.8), torch.tensor([[1.0, -3.0 + 0.8 * 3.0], [5.0, -1.0]]))
    assert torch.equal(aligned(conflicting, torch.zeros(2, 2), 1.0), conflicting)


def test_the_published_projection() -> None:
    random = torch.Generator().manual_seed(4)
    for _ in range(20):
        a, b = (torch.randn(3, 4, generator=random, dtype=torch.float64) for _ in range(2))
        length = math.sqrt(sum(x * x for x in b.flatten().tolist()))
        along = sum(x * y / length for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
        expected = a - 0.8 * along * b / length if along < 0 else a
        assert torch.allclose(aligned(a, b, 0.8), expected, atol=1e-14)


def test_a_step_descends_the_projected_gradient(
    tiny: Any, tiny_task: Callable[..., Task], measured: Callable[..., None]
) -> None:
    """One batch of four images, the two losses in plain sums."""
    task = tiny_task()
    few = Examples(task.train.views[:1, :4], task.train.labels[:4], task.train.domains[:4])
    reported: list[float] = []
    task = replace(task, train=few, on_epoch=lambda epoch, epochs, loss: reported.append(loss))
    recipe = Recipe(epochs=1, warmup_lr=0.05, weight_decay=0.1)
    method = ProGrad(n_ctx=5, projection=0.9, temperature=2.0, recipe=recipe)

    def texts(v: torch.Tensor) -> torch.Tensor:
        rows = []
        for name in (name.replace("_", " ") for name in task.classnames):
            filler = tiny.embed(f"{'X ' * 5}{name}.")
            rows.append(tiny.read(torch.cat([filler[:1], v, filler[6:]]), 5 + tiny.tokens(f"{name}.") + 1))
        return unit(torch.stack(rows))

    v = method.initial(tiny.tower, task.generator()).requires_grad_()
    t = texts(v)
    ce = kl = torch.zeros((), dtype=torch.float64)
    for image, label in zip(unit(few.views[0]), few.labels.tolist(), strict=True):
        odds = [(20 * image @ row).exp() for row in t]
        ce = ce - (odds[label] / sum(odds)).log() / 4
        soft = [(20 * image @ row / 2).exp() for row in t]
        soft_0 = [(20 * image @ row / 2).exp() for row in unit(task.text)]
        for one, one_0 in zip(soft, soft_0, strict=True):
            p, p_0 = one / sum(soft), one_0 / sum(soft_0)
            kl = kl + p_0 * (p_0 / p).log()  # the mean over four images, times T^2 = 4
    (G_d,) = torch.autograd.grad(ce, v, retain_graph=True)
    (G_g,) = torch.autograd.grad(kl, v)
    conflict = float((G_d * G_g).sum())
    assert conflict < 0
    step = G_d - 0.9 * conflict / float((G_g * G_g).sum()) * G_g
    moved = v - 0.05 * (step + 0.1 * v)

    outputs = method.fit(task)(few.views[0])
    assert reported == [pytest.approx(ce.item(), rel=1e-10)]
    assert outputs.classes is not None
    assert torch.allclose(outputs.classes, Prompts(tiny.tower, task.classnames).features(moved), atol=1e-10)
    measured("prograd", outputs.logits, 20 * unit(few.views[0]) @ texts(moved).T)


def test_without_projection_it_is_coop(tiny_task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch) -> None:
    task, recipe = tiny_task(), Recipe(lr=0.05, epochs=3, batch=12)
    image = task.train.views[0]
    plain = CoOp(n_ctx=5, recipe=recipe).fit(task)(image).logits
    same = ProGrad(n_ctx=5, words="", projection=0.0, recipe=recipe).fit(task)(image).logits
    assert torch.allclose(same, plain, atol=1e-10)
    assert not torch.allclose(ProGrad(n_ctx=5, words="", recipe=recipe).fit(task)(image).logits, plain, atol=1e-4)


def test_words_are_the_last_of_the_context_and_zeros_stand_before(tiny: Any, tiny_task: Callable[..., Task]) -> None:
    rng = tiny_task().generator()
    v = ProGrad(n_ctx=7).initial(tiny.tower, rng)
    assert torch.equal(v[3:], tiny.embed("a photo of a")[1:5])
    assert torch.equal(v[:3], torch.zeros(3, 32, dtype=torch.float64))
    exact = ProGrad(n_ctx=4, recipe=Recipe(epochs=0)).fit(tiny_task())(tiny_task().train.views[0])
    assert exact.classes is not None
    assert torch.allclose(exact.classes, unit(tiny_task().text), atol=1e-12)
    assert 0.015 < ProGrad(words="").initial(tiny.tower, rng).std() < 0.025


def test_permuting_classes_permutes_logits(tiny_task: Callable[..., Task]) -> None:
    method = ProGrad(n_ctx=5, recipe=Recipe(epochs=2, batch=6))
    order = (2, 0, 1)
    image = tiny_task().train.views[1]
    one, other = method.fit(tiny_task())(image).logits, method.fit(tiny_task(order))(image).logits
    assert torch.allclose(other, one[:, order], atol=1e-9)


def test_what_cannot_be_is_one_clear_line(tiny_task: Callable[..., Task]) -> None:
    with pytest.raises(ValueError, match="n_ctx must be 1 or more"):
        ProGrad(n_ctx=0)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        ProGrad(temperature=0)
    with pytest.raises(UsageError, match=r"'a photo of a' has 4 tokens, but the context has 3.*--set n_ctx"):
        ProGrad(n_ctx=3).fit(tiny_task())


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("a photo of a {}.", "a photo of a"),
        ("a photo of a {}, a type of pet.", "a type of pet, a photo of a"),
        ("a centered satellite photo of {}.", "a centered satellite photo of"),
        ("{} texture.", "texture"),
    ],
)
def test_a_templates_words_go_before_the_name(template: str, words: str) -> None:
    """As BeierZhu/Prompt-align's CUSTOM_TEMPLATES has them, but "a texture of" for the last."""
    assert words_of(template) == words


def test_the_context_starts_from_the_suites_only_prompt(tiny: Any) -> None:
    def start(method: ProGrad, *templates: str) -> torch.Tensor:
        return method.initial(tiny.tower, torch.Generator().manual_seed(0), templates)

    method = ProGrad(from_template=True, words="a photo", n_ctx=4)
    assert torch.equal(start(method, "a photo of a {}."), start(ProGrad(words="a photo of a", n_ctx=4)))
    plain = start(ProGrad(words="a photo", n_ctx=4), "a photo of a {}.")
    assert torch.equal(start(method, "a {}.", "the {}."), plain), "of several prompts none is the data set's"
    assert torch.equal(start(method, "{}."), plain)
