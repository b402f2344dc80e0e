"""The shared recipe: learning rates against the recorded schedule, the update, the batches, the guard."""

import math

import pytest
import torch

from croftbench.errors import TrainingError
from croftbench.method import Examples, Task
from croftbench.training import SGD, Recipe, batch_sizes, batches, descend, mean_loss, optimiser, unit

SCHEDULES = [
    "CRoFT_ViT_ep30",
    "CRoFT_ViT_ep100",
    "TIP_ADAPTER_ViT_ep30",
    "TIP_ADAPTER_rn50_ep30",
    "VLAD_ViT_ep50",
]


def examples(n: int, views: int = 3) -> Examples:
    """Image k under view v has the features (v, k), the label k mod 4 and the domain k mod 2."""
    k = torch.arange(n)
    features = torch.stack([torch.stack([torch.full((n,), v), k], 1) for v in range(views)]).float()
    return Examples(features, k % 4, k % 2)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rates_are_those_recorded(name, oracle, close):
    ref = oracle("lr_schedule")
    lr, epochs, batch, momentum, weight_decay = ref[f"{name}_cfg"].tolist()
    recipe = Recipe(lr, int(epochs), int(batch), momentum, weight_decay)
    close([recipe.lr_at(epoch) for epoch in range(int(epochs))], ref[f"{name}_lr"], 1e-15)


def test_defaults_are_the_published_recipe(oracle):
    recipe = Recipe()
    published = oracle("lr_schedule")["CRoFT_ViT_ep30_cfg"].tolist()
    assert [recipe.lr, recipe.epochs, recipe.batch, recipe.momentum, recipe.weight_decay] == published


def test_update_decays_the_weight_into_the_momentum_and_skips_weights_without_gradient():
    weight = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    idle = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    by = optimiser([weight, idle], Recipe(warmup_lr=0.5, momentum=0.9, weight_decay=0.1))
    value, momentum = weight.detach().clone(), torch.zeros(2, dtype=torch.float64)
    for gradient in ([1.0, 2.0], [-3.0, 0.5], [0.0, 0.0]):
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        by.step()
        momentum = 0.9 * momentum + weight.grad + 0.1 * value
        value = value - 0.5 * momentum
        torch.testing.assert_close(weight.detach(), value, rtol=1e-14, atol=0)
    assert idle.item() == 3.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.1), (0.0, 0.1), (0.9, 0.0)])
def test_sgd_is_pytorchs_to_the_bit(dtype, momentum, decay):
    start = torch.randn(5, 7, generator=rng(), dtype=dtype)
    ours, theirs = (start.clone().requires_grad_() for _ in range(2))
    mine = SGD([ours], 0.1, momentum, decay)
    pytorchs = torch.optim.SGD([theirs], lr=0.1, momentum=momentum, weight_decay=decay)
    for i in range(20):
        for by, weight in ((mine, ours), (pytorchs, theirs)):
            by.param_groups[0]["lr"] = 0.1 / (1 + i)
            by.zero_grad()
            (weight @ weight.T).sin().sum().backward()
            by.step()
    assert torch.equal(ours, theirs)


TORCH = {
    "sgd": (lambda w: torch.optim.SGD([w], lr=0.1, momentum=0.8, weight_decay=0.01)),
    "adam": (lambda w: torch.optim.Adam([w], lr=0.1, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.01)),
    "adamw": (lambda w: torch.optim.AdamW([w], lr=0.1, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.01)),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("schedule", ["epoch", "step", "constant"])
def test_descending_is_torchs_optimiser_with_torchs_scheduler(name, schedule):
    """Three epochs of 8 + 2 images without a warm-up, the last batch kept; T_max as in the published code."""
    data, epochs, steps = examples(10, views=1), 3, 2

    def loss(w, batch):
        return (w * batch.features.sum(1) - batch.labels).square().mean()

    theirs = torch.tensor(0.3, requires_grad=True)
    by = TORCH[name](theirs)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(by, epochs * steps if schedule == "step" else epochs)
    generator = rng()
    for epoch in range(epochs):
        for batch in batches(data, epoch, 8, generator, keep_last=True):
            by.zero_grad()
            loss(theirs, batch).backward()
            by.step()
            if schedule == "step":
                cosine.step()
        if schedule == "epoch":
            cosine.step()

    ours = torch.tensor(0.3, requires_grad=True)
    recipe = Recipe(
        lr=0.1, epochs=epochs, batch=8, momentum=0.8, weight_decay=0.01, optimiser=name, beta2=0.95, eps=1e-4,
        schedule=schedule, warmup=0, keep_last=True,
    )  # fmt: skip
    of = Task(("a",), data, None, torch.ones(1, 2), 1.0, 0)
    descend(of, recipe, [ours], rng(), lambda batch: loss(ours, batch))
    torch.testing.assert_close(ours, theirs)


def test_a_warm_up_by_step_is_constant_and_the_cosine_is_counted_from_it():
    recipe = Recipe(lr=1.0, epochs=4, warmup=2, warmup_lr=0.25, schedule="step")
    rates = [recipe.lr_at(epoch, step, 2) for epoch in range(4) for step in range(2)]
    assert rates[:4] == [0.25] * 4
    assert rates[4:] == pytest.approx([0.5 * (1 + math.cos(math.pi * t / 8)) for t in range(4)])


def test_the_last_batch_may_be_kept():
    assert batch_sizes(10, 4) == [4, 4]
    assert batch_sizes(10, 4, keep_last=True) == [4, 4, 2]
    assert batch_sizes(3, 4) == [3]
    seen = [batch.features[:, 1].tolist() for batch in batches(examples(10), 0, 4, rng(), keep_last=True)]
    assert sorted(k for chosen in seen for k in chosen) == list(range(10))


def test_incomplete_batch_is_dropped():
    seen = [batch.features[:, 1].tolist() for batch in batches(examples(10), 0, 4, rng())]
    assert [len(chosen) for chosen in seen] == [4, 4]
    assert len({*seen[0], *seen[1]}) == 8


def test_set_smaller_than_a_batch_is_one_batch():
    (batch,) = batches(examples(3), 0, 4, rng())
    assert sorted(batch.features[:, 1].tolist()) == [0, 1, 2]


def test_features_labels_and_domains_stay_together():
    for batch in batches(examples(12), 1, 4, rng()):
        k = batch.features[:, 1].long()
        assert torch.equal(batch.labels, k % 4)
        assert torch.equal(batch.domains, k % 2)


@pytest.mark.parametrize(("epoch", "view"), [(0, 0), (1, 1), (2, 2), (3, 0), (7, 1)])
def test_epochs_cycle_through_the_views(epoch, view):
    read = torch.cat([batch.features[:, 0] for batch in batches(examples(8), epoch, 4, rng())])
    assert torch.equal(read, torch.full((8,), float(view)))


def test_order_follows_the_generator():
    def order(generator: torch.Generator) -> list[float]:
        return torch.cat([batch.features[:, 1] for batch in batches(examples(64), 0, 8, generator)]).tolist()

    generator = rng()
    first, next_epoch = order(generator), order(generator)
    assert first == order(rng())
    assert first != next_epoch


def task(reports: list[tuple[int, int, float]]) -> Task:
    return Task(("a",), examples(1), None, torch.ones(1, 2), 1.0, 0, on_epoch=lambda *report: reports.append(report))


def test_mean_loss_is_reported():
    reports: list[tuple[int, int, float]] = []
    assert mean_loss([torch.tensor(1.0), torch.tensor(4.0)], 2, task(reports), 5) == 2.5
    assert reports == [(2, 5, 2.5)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_is_an_error(bad):
    reports: list[tuple[int, int, float]] = []
    with pytest.raises(TrainingError, match="epoch 3 of 5"):
        mean_loss([torch.tensor(1.0), torch.tensor(bad)], 2, task(reports), 5)
    assert reports == []


def test_unit_rows_and_the_added_epsilon():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.5]], dtype=torch.float64)
    torch.testing.assert_close(unit(x).norm(dim=1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(unit(x, 1.0), torch.tensor([[0.5, 4 / 6], [0.0, 0.5 / 1.5]], dtype=torch.float64))
