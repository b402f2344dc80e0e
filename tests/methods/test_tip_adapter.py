"""Tip-Adapter and Tip-Adapter-F against the recorded outputs of the published code, and against plain loops."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from croftbench.method import Examples, Task
from croftbench.methods.tip_adapter import Cache, Grid, TipAdapter, TipAdapterF, keys
from croftbench.methods.zero_shot import ZeroShot
from croftbench.training import Recipe, optimiser, unit

BOTH = pytest.mark.parametrize("variant", ["corrected", "official"])


@pytest.fixture
def record(oracle) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in oracle("tip_adapter").items()}


@pytest.fixture
def task(record) -> Task:
    """The record's support set, with the logit scale of CLIP."""
    labels = record["support_label"]
    train = Examples(record["support"], labels, torch.zeros_like(labels))
    return Task(tuple("abcde"), train, None, record["clip_weights"].T, 100.0, seed=3)


@pytest.fixture
def mild(task) -> Task:
    """The same images under the logit scale of another encoder."""
    return replace(task, logit_scale=20.0)


def test_prompts_and_cache_match_the_published_code(record, task, close):
    close(unit(unit(record["text_bank"]).mean(1)), record["clip_weights"].T.numpy())
    close(keys(task.train), record["cache_keys"].T.numpy())
    close(Cache.of(task, 1.0, 1.0, "official").V, record["cache_values"].numpy())


@BOTH
@pytest.mark.parametrize("case", "abc")
def test_logits_match_the_published_code(record, task, close, measured, case, variant):
    alpha, beta = record[f"{case}_alpha_beta"].tolist()
    outputs = TipAdapter(variant, alpha, beta).fit(task)(record["query"])
    measured("tip-adapter", outputs.logits, record[f"{case}_logits"])
    close(outputs.logits.logsumexp(1), record[f"{case}_energy"].numpy())
    close(outputs.features, record["z"].numpy())
    assert outputs.classes is None


def test_official_is_the_literal_100_and_corrected_the_encoders_scale(record, task, mild, close):
    alpha, beta = record["a_alpha_beta"].tolist()
    query = record["query"]
    close(TipAdapter("official", alpha, beta).fit(mild)(query).logits, record["a_logits"].numpy())
    corrected = TipAdapter("corrected", alpha, beta).fit(mild)(query).logits
    cache = record["a_logits"] - 100 * record["z"] @ record["clip_weights"]
    close(corrected, (20 * record["z"] @ record["clip_weights"] + cache).numpy())
    without = TipAdapter(alpha=0.0).fit(mild)(query).logits
    torch.testing.assert_close(without, ZeroShot().fit(mild)(query).logits)


def test_step_of_the_keys_matches_the_published_code(record, task, close):
    alpha, beta = record["step_alpha_beta"].tolist()
    lr, momentum, decay = record["hyper"].tolist()
    K = keys(task.train).requires_grad_()
    cache = Cache.of(task, alpha, beta, "official")
    loss = cross_entropy(cache.logits(unit(record["query"]), K), record["query_label"])
    loss.backward()
    close(loss, record["step_loss"].numpy())
    close(K.grad, record["step_grad"].numpy())
    optimiser([K], Recipe(warmup_lr=lr, momentum=momentum, weight_decay=decay)).step()
    close(K, record["step_weight"].numpy())


def test_logits_and_loss_restated_for_four_images_and_three_classes(measured):
    rng = torch.Generator().manual_seed(0)
    views = 3 * torch.randn(2, 4, 6, generator=rng).double()
    e, y, s, alpha, beta = torch.randn(3, 6, generator=rng).double(), [2, 0, 1, 1], 20.0, 1.5, 3.0
    mean = [(views[0, m] + views[1, m]) / 2 for m in range(4)]
    K = [v / v.norm() for v in mean]
    expected, loss = torch.zeros(4, 3, dtype=torch.float64), 0.0
    for i in range(4):
        z = views[0, i] / views[0, i].norm()
        for c in range(3):
            votes = sum(math.exp(-beta * (1 - float(z @ K[m]))) for m in range(4) if y[m] == c)
            expected[i, c] = s * float(z @ e[c] / e[c].norm()) + alpha * votes
        loss -= float(expected[i, y[i]] - expected[i].exp().sum().log()) / 4
    reported: list[tuple[int, int, float]] = []
    train = Examples(views, torch.tensor(y), torch.zeros(4))
    task = Task(("a", "b", "c"), train, None, e, s, 1, on_epoch=lambda *at: reported.append(at))
    measured("tip-adapter", TipAdapter(alpha=alpha, beta=beta).fit(task)(views[0]).logits, expected)
    TipAdapterF(alpha=alpha, beta=beta, recipe=Recipe(epochs=1)).fit(task)
    assert reported == [(0, 1, pytest.approx(loss, rel=1e-12))]


@BOTH
def test_untrained_keys_are_the_training_free_method(record, mild, variant):
    query = record["query"]
    trained = TipAdapterF(variant, 1.0, 5.5, Recipe(epochs=0)).fit(mild)(query)
    assert torch.equal(trained.logits, TipAdapter(variant, 1.0, 5.5).fit(mild)(query).logits)


def test_fit_trains_the_keys_on_the_epochs_view(mild, close):
    recipe = Recipe(warmup_lr=0.01, epochs=1, batch=15)
    cache, K = Cache.of(mild, 1.0, 5.5, "corrected"), keys(mild.train).requires_grad_()
    optimizer = optimiser([K], recipe)
    cross_entropy(cache.logits(unit(mild.train.views[0]), K), mild.train.labels).backward()
    optimizer.step()
    image = mild.train.views[1]
    fitted = TipAdapterF(alpha=1.0, beta=5.5, recipe=recipe).fit(mild)(image)
    close(fitted.logits, cache.logits(unit(image), K.detach()).numpy())
    assert not fitted.logits.requires_grad


def test_images_of_an_incomplete_batch_are_in_the_cache(mild):
    half = TipAdapterF(recipe=Recipe(epochs=0, batch=8)).fit(mild)
    assert len(mild.train) % 8
    torch.testing.assert_close(half(mild.train.views[0]).logits, TipAdapter().fit(mild)(mild.train.views[0]).logits)


def test_a_class_without_images_keeps_its_zero_shot_logits(mild):
    kept = mild.train.labels != 2
    train = Examples(mild.train.views[:, kept], mild.train.labels[kept], mild.train.domains[kept])
    few, image = replace(mild, train=train), mild.train.views[0]
    zero_shot = ZeroShot().fit(few)(image).logits
    logits = TipAdapter().fit(few)(image).logits
    torch.testing.assert_close(logits[:, 2], zero_shot[:, 2])
    assert (logits > zero_shot).sum(0).tolist() == [len(image) * (c != 2) for c in range(5)]


@pytest.mark.parametrize("method", [TipAdapter(), TipAdapterF(recipe=Recipe(epochs=2, batch=4))])
def test_permuting_classes_permutes_logits(mild, method):
    order = torch.tensor([3, 0, 4, 1, 2])
    renamed = replace(mild.train, labels=order.argsort()[mild.train.labels])
    other = replace(mild, classnames=tuple("daebc"), text=mild.text[order], train=renamed)
    image = mild.train.views[0]
    torch.testing.assert_close(method.fit(other)(image).logits, method.fit(mild)(image).logits[:, order])


def test_training_descends_and_decay_leads_back_to_zero_shot(mild):
    losses: list[float] = []
    watched = replace(mild, on_epoch=lambda epoch, epochs, loss: losses.append(loss))
    TipAdapterF(beta=5.5, recipe=Recipe(lr=0.01, epochs=20, batch=15, weight_decay=0.0)).fit(watched)
    assert losses[-1] < 0.9 * losses[0]
    # what the top of the file says of weight decay: keys of zero vote for all images alike
    cache = Cache.of(mild, 1.17, 5.5, "corrected")
    gap = cache.logits(unit(mild.train.views[0]), torch.zeros(15, 12).double())
    gap = gap - ZeroShot().fit(mild)(mild.train.views[0]).logits
    torch.testing.assert_close(gap, gap[:1].expand_as(gap))


def test_the_authors_training_restated(task, measured):
    """AdamW with eps 1e-4 and PyTorch's weight decay, 20 epochs of one batch, a cosine over all steps."""
    one_view = replace(task.train, views=task.train.views[:1])
    task = replace(task, train=one_view)
    z, labels = unit(one_view.views[0]), one_view.labels
    K = z.clone().requires_grad_()

    def logits():
        votes = torch.exp(-1.0 * (1 - z @ K.T)) @ torch.eye(5, dtype=torch.float64)[labels]
        return 100 * z @ unit(task.text).T + 1.17 * votes

    by = torch.optim.AdamW([K], lr=0.001, eps=1e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(by, 20)
    for _ in range(20):
        by.zero_grad()
        cross_entropy(logits(), labels).backward()
        by.step()
        cosine.step()
    recipe = Recipe(
        lr=0.001, epochs=20, batch=256, weight_decay=0.01, optimiser="adamw", eps=1e-4, schedule="step", warmup=0,
        keep_last=True,
    )  # fmt: skip
    outputs = TipAdapterF(recipe=recipe).fit(task)(one_view.views[0])
    measured("tip-adapter-f", outputs.logits, logits())


def test_alpha_and_beta_are_the_first_best_pair_on_validation_images(task):
    rng = torch.Generator().manual_seed(0)
    views = task.train.views[:1] + 2 * torch.randn(task.train.views[:1].shape, generator=rng, dtype=torch.float64)
    val = replace(task.train, views=views)
    K, z = keys(task.train), unit(views[0])
    best, pair = -1, None
    for beta in [i * (4 - 0.1) / 200 + 0.1 for i in range(200)]:
        for alpha in [i * (6 - 0.1) / 20 + 0.1 for i in range(20)]:
            logits = Cache.of(task, alpha, beta, "corrected").logits(z, K)
            right = (logits.argmax(1) == val.labels).sum().item()
            best, pair = (right, (alpha, beta)) if right > best else (best, pair)
    found = Cache.of(task, 1.0, 1.0, "corrected").searched(K, val, Grid(search=True, max_alpha=6, max_beta=4))
    assert (found.alpha, found.beta) == pytest.approx(pair)
    untrained = TipAdapter(grid=Grid(search=True, max_alpha=6, max_beta=4)).fit(replace(task, val=val))
    torch.testing.assert_close(untrained(views[0]).logits, found.logits(z, K))


def test_without_validation_images_alpha_and_beta_stay_as_given(task):
    image = task.train.views[0]
    given, searched = TipAdapter(alpha=2.0, beta=3.0), TipAdapter(alpha=2.0, beta=3.0, grid=Grid(search=True))
    assert torch.equal(searched.fit(task)(image).logits, given.fit(task)(image).logits)
