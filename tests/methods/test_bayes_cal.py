"""Bayes-CAL against the recorded outputs of the published code, on the record's toy text tower."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from croftbench.method import Examples, Task, Towers
from croftbench.methods import bayes_cal
from croftbench.methods.bayes_cal import BayesCAL, Context, irm, orthogonality, sample
from croftbench.prompting import Prompts
from croftbench.training import Batch, Recipe, optimiser, unit

CLASSES = ("dog", "cat", "hot_dog", "bird", "fish")
DOMAINS = ("art painting", "cartoon", "photo", "sketch")


class ToyTower:
    """The record's stand-in for CLIP's text tower, for class names and domain names alike."""

    def __init__(self, record: dict[str, np.ndarray]) -> None:
        self.record = {name: torch.from_numpy(array) for name, array in record.items()}
        self.width = record["cat_ctx"].shape[1]
        self.asked: list[list[str]] = []

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        self.asked.append(list(texts))
        known = [f"{name.replace('_', ' ')}." for name in CLASSES]
        kind, names = ("cat", known) if texts[0] in known else ("con", [f"{name}." for name in DOMAINS])
        rows = [names.index(text) for text in texts]
        end = self.record[f"{kind}_tok"].argmax(1) - 1 - len(self.record["cat_ctx"])
        return self.record[f"{kind}_suffix"][rows], end[rows]

    def start(self) -> Tensor:
        return self.record["cat_prefix"][0]

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        x = torch.cat([shared.expand(len(rest), -1, -1), rest], 1) + self.record["positional_embedding"]
        x = torch.tanh(x + 0.5 * x.mean(1, keepdim=True))
        return x[torch.arange(len(x)), len(shared) + end] @ self.record["text_projection"]


@pytest.fixture
def record(oracle: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return oracle("bayescal")


@pytest.fixture
def tower(record: dict[str, np.ndarray]) -> ToyTower:
    return ToyTower(record)


@pytest.fixture
def batch(record: dict[str, np.ndarray]) -> Batch:
    return Batch(*(torch.from_numpy(record[name]) for name in ("image", "label", "domain")))


@pytest.fixture
def contexts(record: dict[str, np.ndarray]) -> tuple[Context, Context]:
    def recorded(kind: str) -> Context:
        mu, sigma, mu0 = (torch.from_numpy(record[f"{kind}_{name}"].copy()) for name in ("ctx", "sigma", "ctx_init"))
        return Context(mu.requires_grad_(), sigma.requires_grad_(), mu0)

    return recorded("cat"), recorded("con")


@pytest.fixture
def noise(record: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(record["noise_cat"]), torch.from_numpy(record["noise_ctx"])


@pytest.fixture
def task(batch: Batch, tower: ToyTower) -> Task:
    return Task(
        classnames=CLASSES,
        train=Examples(batch.features[None], batch.labels, batch.domains),
        val=None,
        text=torch.zeros(5, 12, dtype=torch.float64),
        logit_scale=100.0,
        seed=3,
        towers=Towers(tower),
        domains=DOMAINS,
    )


OFFICIAL = BayesCAL(variant="official", n_ctx=4)


def test_a_step_matches_the_published_code(
    record: dict[str, np.ndarray], tower: ToyTower, batch: Batch, contexts: tuple[Context, Context],
    noise: tuple[Tensor, Tensor], close: Callable[..., None], measured: Callable[..., None],
) -> None:  # fmt: skip
    assert record["alphas"].tolist() == [OFFICIAL.a1, OFFICIAL.a2, OFFICIAL.a3]
    s, (q, q_domain) = float(np.exp(record["log_scale"])), contexts
    names, domains = Prompts(tower, CLASSES), Prompts(tower, DOMAINS)
    single = batch.features.float()  # the published code normalises image features in single precision
    z = unit(single, 1e-6).double()
    logits = s * z @ names.features(sample(q, noise[0]), 1e-6).T
    measured("bayes-cal", logits, torch.from_numpy(record["logits_cat"]))
    terms = OFFICIAL.terms(replace(batch, features=single), names, domains, q, q_domain, noise, s)
    close(terms.irm, record["irm"], 1e-10)
    loss = OFFICIAL.loss(terms)
    close(loss, record["total_loss"], 1e-10)
    loss.backward()
    for kind, context in (("cat", q), ("con", q_domain)):
        close(context.mu.grad, record[f"grad_{kind}_ctx"], 1e-10)
        close(context.sigma.grad, record[f"grad_{kind}_sigma"], 1e-10)
    optimiser([q.mu, q.sigma, q_domain.mu, q_domain.sigma], Recipe(warmup_lr=0.002)).step()
    for kind, context in (("cat", q), ("con", q_domain)):
        close(context.mu, record[f"post_{kind}_ctx"], 1e-10)
        close(context.sigma, record[f"post_{kind}_sigma"], 1e-10)
        close(OFFICIAL.kl(context), record[f"kl_{kind}_after"].astype(np.float64), 1e-10)
    after, theirs = (s * z @ names.features(mu, 1e-6).T for mu in (q.mu, torch.from_numpy(record["post_cat_ctx"])))
    measured("bayes-cal", after, theirs)


def test_the_published_orthogonality_trains_nothing_and_the_correct_one_does(
    tower: ToyTower, batch: Batch, contexts: tuple[Context, Context], noise: tuple[Tensor, Tensor]
) -> None:
    names, domains = Prompts(tower, CLASSES), Prompts(tower, DOMAINS)
    q, q_domain = contexts
    for variant in ("official", "correct"):
        orth = BayesCAL(variant=variant, n_ctx=4).terms(batch, names, domains, q, q_domain, noise, 100.0).orth
        assert orth > 0
        assert orth.requires_grad == (variant == "correct")
    for gradient in torch.autograd.grad(orth, [q.mu, q_domain.mu]):
        assert gradient.abs().max() > 0


def test_every_term_written_out() -> None:
    """Four images of two domains, three classes, in loops; derivatives by differences."""
    rng = torch.Generator().manual_seed(0)
    f = torch.randn(4, 6, generator=rng, dtype=torch.float64).requires_grad_()
    t = torch.randn(3, 6, generator=rng, dtype=torch.float64)
    t_domain = torch.randn(2, 6, generator=rng, dtype=torch.float64)
    y, d, s = [2, 0, 1, 0], [1, 0, 1, 1], 5.0

    def loss_of(image: Tensor, texts: Tensor, label: int, a: float = 1.0) -> float:
        row = [a * s * float(image @ text / image.norm() / text.norm()) for text in texts]
        return math.log(sum(map(math.exp, row))) - row[label]

    with torch.no_grad():
        penalty = 0.0
        for domain in (0, 1):
            mine = [i for i in range(4) if d[i] == domain]
            step = 1e-5
            up, down = (sum(loss_of(f[i], t, y[i], a) for i in mine) / len(mine) for a in (1 + step, 1 - step))
            penalty += ((up - down) / (2 * step)) ** 2

        cosines = 0.0
        for i in range(4):
            sides = []
            for texts, label in ((t, y[i]), (t_domain, d[i])):
                gradient = []
                for k in range(6):
                    moved = [f[i].clone(), f[i].clone()]
                    moved[0][k] += 1e-6
                    moved[1][k] -= 1e-6
                    gradient.append(loss_of(moved[0], texts, label) - loss_of(moved[1], texts, label))
                sides.append(torch.tensor(gradient))
            cosines += float(sides[0] @ sides[1] / sides[0].norm() / sides[1].norm()) ** 2

    labels, domains = torch.tensor(y), torch.tensor(d)
    logits, logits_domain = (s * unit(f) @ unit(texts).T for texts in (t, t_domain))
    ce, ce_domain = (torch.nn.functional.cross_entropy(*pair) for pair in ((logits, labels), (logits_domain, domains)))
    assert irm(logits, labels, domains).item() == pytest.approx(penalty, rel=1e-6)
    assert orthogonality(ce, ce_domain, f, trains=True).item() == pytest.approx(cosines, rel=1e-4)


def test_kl_is_that_of_two_gaussians() -> None:
    rng = torch.Generator().manual_seed(0)
    mu, mu0 = (0.02 * torch.randn(3, 4, generator=rng) for _ in range(2))
    std = 0.001 + 0.03 * torch.rand(3, 4, generator=rng)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mu, std), normal(mu0, 0.01 * torch.ones_like(mu))).sum()
    method = BayesCAL(beta=0.5, rho=0.01)
    assert method.kl(Context(mu, std.sqrt(), mu0)) == pytest.approx(0.5 * expected.item(), rel=1e-5)
    assert method.kl(Context(mu, -std.sqrt(), mu0)) == pytest.approx(0.5 * expected.item(), rel=1e-5)


def test_the_posterior_starts_as_the_prior() -> None:
    q = Context.start(0.02 * torch.randn(50, 40, generator=torch.Generator().manual_seed(0)), math.sqrt(0.02))
    assert torch.equal(q.mu, q.mu0)
    assert q.mu0.std() == pytest.approx(0.02, rel=0.05)
    assert BayesCAL(beta=1.0).kl(q).item() == pytest.approx(0, abs=1e-3)
    draws = (torch.stack([sample(q, torch.randn(50, 40)) for _ in range(20)]) - q.mu).detach()
    assert draws.std() == pytest.approx(0.02, rel=0.05)


def test_a_deviation_of_zero_does_no_harm() -> None:
    sigma = torch.tensor([[0.0, 1e-20, 0.1]], requires_grad=True)
    kl = BayesCAL(beta=1e-8).kl(Context(torch.zeros(1, 3), sigma, torch.zeros(1, 3)))
    kl.backward()
    assert kl.isfinite()
    assert sigma.grad.isfinite().all()


def test_only_names_of_domains_with_training_images_are_used(task: Task, tower: ToyTower) -> None:
    """The record has images of domains 0, 2 and 3 alone; the published code names all."""
    recipe = Recipe(epochs=1, batch=8)
    BayesCAL(n_ctx=4, recipe=recipe).fit(task)
    assert ["art painting.", "photo.", "sketch."] in tower.asked
    assert not any("cartoon." in names for names in tower.asked)
    BayesCAL(variant="official", n_ctx=4, recipe=recipe).fit(task)
    assert ["art painting.", "cartoon.", "photo.", "sketch."] in tower.asked
    assert tower.asked[0] == ["dog.", "cat.", "hot dog.", "bird.", "fish."]


def test_the_class_is_told_with_the_posterior_s_mean(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    plain = Prompts.features

    def watched(self: Prompts, v: Tensor, eps: float) -> Tensor:
        seen.append(v.detach().clone())
        return plain(self, v, eps)

    monkeypatch.setattr(Prompts, "features", watched)
    made: list[Context] = []
    start = Context.start
    monkeypatch.setattr(bayes_cal.Context, "start", lambda *a: made.append(start(*a)) or made[-1])
    predict = BayesCAL(n_ctx=4, recipe=Recipe(epochs=2, batch=4)).fit(task)
    assert torch.equal(seen[-1], made[0].mu.detach())
    image = task.train.views[0]
    torch.testing.assert_close(predict(image[:3]).logits, predict(image).logits[:3], rtol=0, atol=1e-10)
    assert torch.allclose(task.logit_scale * predict(image).features @ predict(image).classes.T, predict(image).logits)


def test_with_one_domain_its_terms_vanish_and_irm_remains(
    tower: ToyTower, batch: Batch, contexts: tuple[Context, Context], noise: tuple[Tensor, Tensor]
) -> None:
    alone = Batch(batch.features, batch.labels, torch.zeros(8, dtype=torch.long))
    terms = BayesCAL(n_ctx=4).terms(
        alone, Prompts(tower, CLASSES), Prompts(tower, DOMAINS[:1]), *contexts, noise, 100.0
    )
    assert terms.ce_domain == terms.orth == 0
    assert terms.irm > 0


def test_gradients_reach_both_contexts_and_nothing_else(
    tower: ToyTower, batch: Batch, contexts: tuple[Context, Context], noise: tuple[Tensor, Tensor]
) -> None:
    method = BayesCAL(n_ctx=4)
    terms = method.terms(batch, Prompts(tower, CLASSES), Prompts(tower, DOMAINS), *contexts, noise, 100.0)
    method.loss(terms).backward()
    for context in contexts:
        assert context.mu.grad.abs().max() > 0
        assert context.sigma.grad.abs().max() > 0
        assert context.mu0.grad is None
    assert batch.features.grad is None
    assert not batch.features.requires_grad


@pytest.mark.parametrize("variant", ["correct", "official"])
def test_training_descends_and_repeats_under_a_seed(variant: str, task: Task) -> None:
    losses: list[float] = []
    watched = replace(task, on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    method = BayesCAL(variant=variant, n_ctx=4, rho=1e-3, recipe=Recipe(epochs=20, batch=8, lr=0.01))
    image = task.train.views[0]
    assert torch.equal(method.fit(watched)(image).logits, method.fit(task)(image).logits)
    assert losses[-1] < losses[0]
