"""DPLCLIP against the recorded outputs of the published code, on the record's toy text tower."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from croftbench.method import Examples, Task, Towers
from croftbench.methods.dplclip import DPLCLIP, Net, domain_logits, loss_of
from croftbench.prompting import Prompts
from croftbench.training import Recipe, unit

NAMES = ("dog", "hot_dog", "bird")


class ToyTower:
    """The record's stand-in for CLIP's text tower: the mean over all tokens, padding too, mixes them."""

    def __init__(self, record: dict[str, np.ndarray]) -> None:
        self.record = {name: torch.from_numpy(array) for name, array in record.items()}
        for name in ("token_prefix", "token_suffix", "positional_embedding", "text_projection"):
            self.record[name] = self.record[name].double()
        self.width = 512
        self.asked: list[str] = []

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        self.asked = list(texts)
        return self.record["token_suffix"], self.record["tokenized_prompts"].argmax(1) - 3  # start, two context vectors

    def start(self) -> Tensor:
        return self.record["token_prefix"][0]

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        if shared.ndim == 3:
            return torch.stack([self.encode(one, rest, end) for one in shared])
        x = torch.cat([shared.expand(len(rest), -1, -1), rest], 1) + self.record["positional_embedding"]
        x = torch.tanh(x + 0.5 * x.mean(1, keepdim=True))
        return x[torch.arange(len(x)), len(shared) + end] @ self.record["text_projection"]


@pytest.fixture
def record(oracle: Callable[[str], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return oracle("dplclip")


@pytest.fixture
def net(record: dict[str, np.ndarray]) -> Net:
    last = torch.full((1024,), float(record["mlp_out_b_all_equal"]), dtype=torch.float64)
    weights = (torch.from_numpy(record[f"mlp_{layer}"]).double() for layer in ("in_w", "in_b", "h_w", "h_b", "out_w"))
    return Net(*(weight.requires_grad_() for weight in (*weights, last)))


@pytest.fixture
def task(record: dict[str, np.ndarray]) -> Task:
    image, labels, domains = (torch.from_numpy(record[name]) for name in ("image", "label", "domain"))
    return Task(
        classnames=NAMES,
        train=Examples(image[None], labels, domains),
        val=None,
        text=torch.zeros(3, 12, dtype=torch.float64),
        logit_scale=float(np.exp(record["log_scale"])),
        seed=3,
        towers=Towers(ToyTower(record)),
        domains=("a", "b", "c", "d"),
    )


def test_training_logits_match_the_published_code(
    record: dict[str, np.ndarray], net: Net, task: Task, close: Callable[..., None],
    measured: Callable[..., None],
) -> None:  # fmt: skip
    prompts = Prompts(ToyTower(record), NAMES)
    f, domains = task.train.views[0], task.train.domains
    logits, own = domain_logits(net(f), f, domains, prompts, task.logit_scale)
    assert logits.shape == (8, 3, 3)  # domains 0, 2 and 3 are there
    assert own.tolist() == [{0: 0, 2: 1, 3: 2}[d] for d in domains.tolist()]
    order = domains.argsort(stable=True)  # the record is in this order
    assert torch.equal(f[order], torch.from_numpy(record["image_sorted"]))
    close(unit(f[order]), record["z"], 1e-10)
    measured("dplclip", logits[order].flatten(1), torch.from_numpy(record["logits"]))
    close(logits[order].flatten(1).logsumexp(1), record["energy"], 1e-10)
    close(loss_of(logits, own, task.train.labels, official=True), record["train_loss"], 1e-10)


def test_prediction_matches_the_published_code_on_one_domain(
    record: dict[str, np.ndarray], net: Net, task: Task, monkeypatch: pytest.MonkeyPatch, close: Callable[..., None],
    measured: Callable[..., None],
) -> None:  # fmt: skip
    monkeypatch.setattr(Net, "start", lambda *_: net)
    still = Recipe(epochs=1, warmup_lr=0.0, batch=8)
    outputs = DPLCLIP(n_ctx=2, recipe=still).fit(task)(task.train.views[0])
    measured("dplclip", outputs.logits, torch.from_numpy(record["logits_one_domain"]))
    close(outputs.logits.logsumexp(1), record["energy_one_domain"], 1e-10)
    close(task.logit_scale * outputs.features @ outputs.classes.T, record["logits_one_domain"], 1e-10)


@pytest.mark.parametrize("official", [False, True])
def test_the_loss_written_out(official: bool) -> None:
    """Four images of two domains, three classes, in loops."""
    rng = torch.Generator().manual_seed(0)
    net = Net.start((5, 6, 6, 2 * 512), rng, torch.zeros((), dtype=torch.float64))
    f = torch.randn(4, 5, generator=rng, dtype=torch.float64)
    y, d = [2, 0, 1, 0], [1, 0, 1, 1]
    tower = PlainTower(rng)
    prompts = Prompts(tower, NAMES)
    logits, own = domain_logits(net(f), f, torch.tensor(d), prompts, 7.0)
    found = loss_of(logits, own, torch.tensor(y), official)

    def context(image: Tensor) -> Tensor:
        hidden = (net.W1 @ image + net.b1).clamp(min=0)
        hidden = (net.W2 @ hidden + net.b2).clamp(min=0)
        return (net.W3 @ hidden + net.b3).reshape(2, 512)

    v = {g: sum(context(f[i]) for i in range(4) if d[i] == g) / d.count(g) for g in (0, 1)}
    total = 0.0
    for i in range(4):
        z = f[i] / f[i].norm()
        row = []
        for g in (0, 1) if official else (d[i],):
            for c in range(3):
                t = tower.one(v[g], c)
                row.append(7.0 * (z @ t / t.norm()).item())
        total += math.log(sum(map(math.exp, row))) - row[y[i]]
    assert abs(total / 4 - found.item()) < 1e-12


class PlainTower:
    """The mean of all tokens, projected: something that depends on everything, and no more."""

    width = 512

    def __init__(self, rng: torch.Generator) -> None:
        self.projection = torch.randn(512, 5, generator=rng, dtype=torch.float64)
        self.rest = torch.randn(3, 2, 512, generator=rng, dtype=torch.float64)

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        return self.rest, torch.tensor([1, 1, 1])

    def start(self) -> Tensor:
        return torch.ones(1, 512, dtype=torch.float64)

    def encode(self, shared: Tensor, rest: Tensor, end: Tensor) -> Tensor:
        return torch.stack([torch.stack([self.one(v[1:], c) for c in range(3)]) for v in shared])

    def one(self, v: Tensor, c: int) -> Tensor:
        return torch.cat([self.start(), v, self.rest[c]]).mean(0) @ self.projection


def test_with_one_domain_both_variants_are_the_same(task: Task) -> None:
    alone = replace(task, train=replace(task.train, domains=torch.zeros(8, dtype=torch.long)))
    recipe = Recipe(epochs=2, batch=4)
    one, two = (DPLCLIP(variant=v, n_ctx=2, hidden=8, recipe=recipe) for v in ("correct", "official"))
    image = task.train.views[0]
    assert torch.equal(one.fit(alone)(image).logits, two.fit(alone)(image).logits)
    assert not torch.equal(one.fit(task)(image).logits, two.fit(task)(image).logits)


def test_the_official_loss_pulls_every_image_to_the_first_domain(net: Net, task: Task) -> None:
    """What is wrong with it: an image of another domain counts as right for the first domain's prompts only."""
    prompts = Prompts(task.towers.text, NAMES)
    f = task.train.views[0]
    logits, own = domain_logits(net(f), f, task.train.domains, prompts, 1.0)
    logits = logits.detach().requires_grad_()
    loss_of(logits, own, task.train.labels, official=True).backward()
    pulled = (logits.grad < 0).any(-1)
    assert pulled[:, 0].all()
    assert not pulled[:, 1:].any()


def test_training_descends(task: Task) -> None:
    losses: list[float] = []
    watched = replace(task, on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    DPLCLIP(n_ctx=2, hidden=8, dropout=0.0, recipe=Recipe(epochs=15, batch=8)).fit(watched)
    assert losses[-1] < losses[0]


def test_gradients_reach_every_weight(net: Net, task: Task) -> None:
    f = task.train.views[0]
    logits, own = domain_logits(net(f), f, task.train.domains, Prompts(task.towers.text, NAMES), 1.0)
    loss_of(logits, own, task.train.labels).backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in net)


def test_a_test_image_depends_on_those_beside_it(task: Task) -> None:
    """Transductive, as the docstring says."""
    predict = DPLCLIP(n_ctx=2, hidden=8, recipe=Recipe(epochs=1, batch=8)).fit(task)
    image = task.train.views[0]
    assert not torch.allclose(predict(image[:1]).logits, predict(image).logits[:1])


def test_dropout_is_drawn_from_the_task_and_off_at_test_time(task: Task) -> None:
    dropped, plain = (DPLCLIP(n_ctx=2, hidden=8, dropout=p, recipe=Recipe(epochs=3, batch=4)) for p in (0.5, 0.0))
    image = task.train.views[0]
    torch.manual_seed(0)
    one = dropped.fit(task)(image).logits
    torch.manual_seed(1)
    assert torch.equal(one, dropped.fit(task)(image).logits)
    assert not torch.equal(one, plain.fit(task)(image).logits)
    predict = dropped.fit(task)
    assert torch.equal(predict(image).logits, predict(image).logits)


def test_dropout_keeps_the_mean() -> None:
    rng = torch.Generator().manual_seed(0)
    net = Net.start((4, 2000, 2000, 6), rng, torch.zeros(()))
    f = torch.rand(1, 4, generator=rng)
    draws = torch.cat([net(f, 0.1, rng) for _ in range(30)])
    assert torch.allclose(draws.mean(0), net(f)[0], atol=0.02)
    assert draws.std(0).min() > 0


def test_permuting_the_classes_permutes_the_logits(record: dict[str, np.ndarray], net: Net, task: Task) -> None:
    tower, order = ToyTower(record), [2, 0, 1]
    prompts = Prompts(tower, NAMES)
    f = task.train.views[0]
    before, _ = domain_logits(net(f), f, task.train.domains, prompts, 1.0)
    prompts.rest, prompts.end = prompts.rest[order], prompts.end[order]
    after, _ = domain_logits(net(f), f, task.train.domains, prompts, 1.0)
    assert torch.allclose(after, before[..., order], atol=1e-14)
    assert tower.asked == ["dog.", "hot dog.", "bird."]


def test_the_start_is_xavier_and_the_biases_one_hundredth() -> None:
    net = Net.start((30, 50, 50, 80), torch.Generator().manual_seed(0), torch.zeros(()))
    assert [tuple(w.shape) for w in net] == [(50, 30), (50,), (50, 50), (50,), (80, 50), (80,)]
    for W, b in ((net.W1, net.b1), (net.W2, net.b2), (net.W3, net.b3)):
        bound = math.sqrt(6 / sum(W.shape))
        assert 0.95 * bound < W.abs().max() <= bound
        assert b.unique().tolist() == pytest.approx([0.01])
