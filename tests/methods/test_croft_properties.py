"""CRoFT against independent restatements of its formulas, and what it promises whatever the data."""

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.errors import TrainingError
from croftbench.method import Examples, Task
from croftbench.methods import croft
from croftbench.methods.croft import CRoFT, Fit, Weights
from croftbench.training import Batch, Recipe


def u(x: Tensor) -> Tensor:
    return x / ((x * x).sum(1, keepdim=True).sqrt() + 1e-6)


def random_problem(seed: int = 0, n: int = 7, c: int = 5, d: int = 11) -> tuple[Tensor, Tensor, Weights, Batch]:
    """Text, images, weights near the identity, and the batch: float64."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    f, e = 3 * draw(n, d), 2 * draw(c, d)
    weights = Weights(*(torch.eye(d, dtype=torch.float64) + 0.2 * draw(d, d) for _ in range(3)))
    labels = torch.randint(c, (n,), generator=rng)
    return e, f, Weights(*(w.requires_grad_() for w in weights)), Batch(f, labels, torch.zeros_like(labels))


def energy_gradient_by_autograd(
    x: Tensor, e: Tensor, W_I: Tensor, W_T: Tensor, r: float, r_t: float, at: float
) -> Tensor:
    delta = torch.full_like(W_I, at).requires_grad_()
    i = u(r * x @ (W_I + delta) + (1 - r) * x)
    j = u(r_t * e @ (W_T + delta) + (1 - r_t) * e)
    return torch.autograd.grad((i @ j.T).exp().sum(), delta, create_graph=True)[0]


@pytest.mark.parametrize(("r", "r_t"), [(0.2, 0.5), (0.5, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("delta", [0.0, 1e-4, 0.3])
def test_closed_form_of_the_energy_gradient_agrees_with_autograd(r, r_t, delta):
    e, f, (W_I, W_T, _), _ = random_problem()
    expected = energy_gradient_by_autograd(f, e, W_I, W_T, r, r_t, delta)
    actual = croft.energy_gradient(croft.adapt(f, W_I, r, delta), croft.adapt(e, W_T, r_t, delta), r, r_t)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    weights = (W_I, W_T)
    once = torch.autograd.grad(actual.square().sum(), weights)
    twice = torch.autograd.grad(expected.square().sum(), weights, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(once, twice, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions_differ_by_the_documented_factor(reduction):
    e, f, (W_I, W_T, _), _ = random_problem()
    i, j = croft.adapt(f, W_I, 0.2), croft.adapt(e, W_T, 0.5)
    g = energy_gradient_by_autograd(f, e, W_I, W_T, 0.2, 0.5, 0.0)
    expected = g.square().mean() if reduction == "sum" else (g / (7 * 5)).square().sum()
    torch.testing.assert_close(croft.edr(i, j, 0.2, 0.5, reduction), expected)


def test_similarity_counts_pairs_of_one_class_over_all_pairs():
    _, f, _, batch = random_problem()
    anchor = f.flip(0)
    y = batch.labels.tolist()
    pairs = [(f[a] @ anchor[b]).item() for a in range(7) for b in range(7) if y[a] == y[b]]
    M = (batch.labels[:, None] == batch.labels).double()
    assert croft.similarity(f, anchor, M).item() == pytest.approx(sum(pairs) / 49)


@pytest.mark.parametrize("gen_steps", [0, 1, 3])
def test_stated_losses_are_the_equations(gen_steps):
    e, f, weights, batch = random_problem()
    y, s, (W_I, W_T, G) = batch.labels, 20.0, (w.detach().clone() for w in weights)
    hp = CRoFT(variant="stated", lambda1=3.0, lambda2=2.0, gen_steps=gen_steps, recipe=Recipe(weight_decay=5e-4))
    z = u(0.2 * f @ W_I.T + 0.8 * f)
    t = u(0.5 * e @ W_T.T + 0.5 * e)

    def edr(x: Tensor) -> Tensor:
        return energy_gradient_by_autograd(x, u(e), W_I.T, W_T.T, 0.2, 0.5, 0.0).square().mean()

    updates = 0
    for update in Fit(hp, e, s, weights).step(batch):
        zc = u(z @ G + z)
        if updates < gen_steps:
            alike = sum(zc[a] @ z[b] for a in range(7) for b in range(7) if y[a] == y[b]) / 49
            expected = cross_entropy(s * zc @ t.T, y) + 3.0 * alike
        else:
            zc2 = u(0.2 * zc @ W_I.T + 0.8 * zc)
            ce = cross_entropy(s * z @ t.T, y) + 3.0 * cross_entropy(s * zc2 @ t.T, y)
            expected = ce + 2.0 * (edr(u(f)) + edr(zc))
        torch.testing.assert_close(update.loss, expected.detach(), rtol=1e-6, atol=0)  # eps is added at other lengths
        G = weights.G.detach().clone()
        updates += 1
    assert updates == gen_steps + 1


def test_stated_optimisers_keep_to_their_own_weights():
    e, _, weights, batch = random_problem()
    fit = Fit(CRoFT(variant="stated", gen_steps=2, recipe=Recipe(warmup_lr=0.1)), e, 20.0, weights)
    for _ in range(2):  # the second batch has gradients and momentum left over from the first
        before = [w.detach().clone() for w in weights]
        for k, _update in enumerate(fit.step(batch)):
            moved = [not torch.equal(w, old) for w, old in zip(weights, before, strict=True)]
            untouched = [w.grad is None for w in weights]
            main = k == 2
            assert moved == [main, main, not main]
            assert untouched == [not main, not main, main]
            before = [w.detach().clone() for w in weights]


@pytest.mark.parametrize("variant", ["official", "stated"])
def test_without_worst_case_the_generator_is_frozen(variant):
    e, _, weights, batch = random_problem()
    before = weights.G.detach().clone()
    updates = list(Fit(CRoFT(variant=variant, worst_case=False), e, 20.0, weights).step(batch))
    assert len(updates) == 1
    assert weights.G.grad is None
    assert torch.equal(weights.G, before)


@pytest.mark.parametrize("worst", [True, False])
@pytest.mark.parametrize("variant", ["official", "stated"])
def test_without_the_energy_term_none_of_its_gradient_is_left(variant, worst, monkeypatch):
    """The paper's ablation, lambda2 = 0: the same bits as if EDR were a constant."""

    def weights_after_two_steps() -> list[Tensor]:
        e, _, weights, batch = random_problem()
        method = CRoFT(variant=variant, lambda2=0.0, worst_case=worst, recipe=Recipe(warmup_lr=0.1))
        fit = Fit(method, e, 20.0, weights)
        for _ in range(2):
            list(fit.step(batch))
        return [w.detach() for w in weights]

    without = weights_after_two_steps()
    monkeypatch.setattr(croft, "edr", lambda *_: torch.zeros((), dtype=torch.float64))
    assert all(torch.equal(w, v) for w, v in zip(without, weights_after_two_steps(), strict=True))


@pytest.mark.parametrize("variant", ["official", "stated"])
def test_without_both_terms_it_is_cross_entropy_on_two_adapters(variant):
    e, f, weights, batch = random_problem()
    (update,) = Fit(CRoFT(variant=variant, lambda2=0.0, worst_case=False), e, 20.0, weights).step(batch)
    W_I, W_T, _ = (w.detach().clone().requires_grad_() for w in random_problem()[2])
    logits = 20.0 * u(0.2 * f @ W_I.T + 0.8 * f) @ u(0.5 * e @ W_T.T + 0.5 * e).T
    loss = cross_entropy(logits, batch.labels)
    torch.testing.assert_close(update.loss, loss.detach())
    torch.testing.assert_close([weights.W_I.grad, weights.W_T.grad], list(torch.autograd.grad(loss, (W_I, W_T))))


def test_stated_generators_loss_has_no_gradient_in_the_adapters():
    """Even if asked for: the loss is cut off from them, not only their optimiser from it."""
    e, _, weights, batch = random_problem()
    fit = Fit(CRoFT(variant="stated"), e, 20.0, weights)
    losses: list[Tensor] = []
    fit._update = lambda loss, *optimisers: losses.append(loss)
    next(fit.step(batch))
    W_I, W_T, G = torch.autograd.grad(losses[0], tuple(weights), allow_unused=True)
    assert W_I is None and W_T is None and G is not None


def test_edr_without_worst_case_features_changes_the_stated_objective():
    e, f, weights, batch = random_problem()
    losses = []
    for counted in (True, False):
        method = CRoFT(variant="stated", edr_worst_case=counted, gen_steps=0, recipe=Recipe(warmup_lr=0.0))
        fit = Fit(method, e, 20.0, weights)
        with torch.no_grad():
            z = fit.forward(f)[0].unit
            ic = croft.adapt(croft.worst_case(z, weights.G), weights.W_I.T, 0.2)
            penalty = 5.0 * croft.edr(ic, fit.forward(f)[1], 0.2, 0.5, "sum")
        losses.append(next(fit.step(batch)).loss)
    torch.testing.assert_close(losses[0] - losses[1], penalty)


def small_task(seed: int = 1, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Task:
    """Four classes of images around noisy texts; three views."""
    rng = torch.Generator().manual_seed(3)
    text = torch.randn(4, 16, generator=rng)
    labels = torch.arange(4).repeat(10)
    views = scale * (text[labels] + 1.5 * torch.randn(3, 40, 16, generator=rng))
    train = Examples(views.to(dtype), labels, torch.zeros_like(labels))
    return Task(("a", "b", "c", "d"), train, None, text, 30.0, seed)


@pytest.mark.parametrize("variant", ["official", "stated"])
def test_untrained_is_zero_shot(variant):
    task = small_task(dtype=torch.float64)
    f = task.train.views[0]
    outputs = CRoFT(variant=variant, recipe=Recipe(epochs=0)).fit(task)(f)
    z, t = u(f), u(task.text.double())
    torch.testing.assert_close(outputs.logits, 30.0 * z @ t.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs.features, z, rtol=0, atol=1e-14)


@pytest.mark.parametrize("variant", ["official", "stated"])
def test_two_fits_under_one_seed_agree_to_the_bit_and_another_seed_differs(variant):
    method = CRoFT(variant=variant, recipe=Recipe(epochs=3, batch=16))
    first, second, other = (method.fit(small_task(seed))(small_task().train.views[0]).logits for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("variant", ["official", "stated"])
def test_training_fits_the_training_images_and_leaves_the_task_alone(variant):
    task = small_task()
    views, text = task.train.views.clone(), task.text.clone()
    reported: list[tuple[int, int, float]] = []
    watched = dataclasses.replace(task, on_epoch=lambda *report: reported.append(report))
    recipe = Recipe(epochs=12, batch=16, lr=0.05, warmup_lr=0.05, weight_decay=5e-4)
    predict = CRoFT(variant=variant, lambda2=0.01, recipe=recipe).fit(watched)

    def loss(logits: Tensor) -> float:
        return cross_entropy(logits, task.train.labels).item()

    outputs = predict(task.train.views[0])
    untrained = 30.0 * u(task.train.views[0]) @ u(task.text).T
    assert loss(outputs.logits) < 0.8 * loss(untrained)
    assert outputs.logits.dtype == torch.float32 and not outputs.logits.requires_grad
    assert [epoch for epoch, _, _ in reported] == list(range(12))
    assert torch.equal(task.train.views, views) and torch.equal(task.text, text)


def test_predictor_keeps_its_weights_when_training_goes_on():
    e, f, weights, batch = random_problem()
    fit = Fit(CRoFT(), e, 20.0, weights)
    predict = fit.predictor()
    before = predict(f).logits
    list(fit.step(batch))
    assert torch.equal(predict(f).logits, before)
    assert not torch.equal(fit.predictor()(f).logits, before)


def test_diverging_training_is_an_error_that_names_the_epoch():
    task = small_task()
    task.train.views[1] = float("nan")
    with pytest.raises(TrainingError, match="epoch 2 of 3"):
        CRoFT(recipe=Recipe(epochs=3, batch=16)).fit(task)
