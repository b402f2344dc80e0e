"""The shared recipe: learning rates against the recorded schedule, the update, the batches, the guard."""

import pytest
import torch

from croftbench.errors import TrainingError
from croftbench.method import Examples, Task
from croftbench.training import Recipe, batches, mean_loss, optimiser, unit

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
