"""NegPrompt: its terms in plain sums, both stages against open_clip and gradient descent by hand, its properties."""

import math
from dataclasses import replace

import pytest
import torch

from croftbench.methods.coop import CoOp
from croftbench.methods.negprompt import NegPrompt, Swinging, evenness, gathering, joined, mean_distance, negprompt
from croftbench.training import Recipe, unit

S, M, J, RATE = 20.0, 4, 2, 0.05
WORDS = "a photo of a"
PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "warmup": 0, "keep_last": True}
SHORT = Recipe(lr=RATE, epochs=2, batch=5, **PLAIN)


@pytest.fixture
def example():
    """Unit rows z (4, 5), t (3, 5) and n (3, 2, 5), and labels (4,)."""
    random = torch.Generator().manual_seed(0)
    z, t, n = (unit(torch.randn(*size, 5, generator=random, dtype=torch.float64)) for size in ((4,), (3,), (3, 2)))
    return z, t, n, torch.tensor([0, 2, 1, 2])


def dot(a, b):
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def as_published(z, t, n):
    """Cosines as the authors lay them out, (B, C, 1 + J): a class, then its negatives."""
    return torch.einsum("bd,ckd->bck", z, torch.cat([t[:, None], n], 1))


# ------------------------------------------------------------------------------------------------ terms


def test_evenness_in_plain_sums(example):
    z, t, n, _ = example
    total = 0.0
    for row in (S * as_published(z, t, n)).flatten(1).tolist():
        total += (math.log(sum(map(math.exp, row))) - sum(row) / len(row)) / len(z)
    assert evenness(S * z @ joined(t, n).T).item() == pytest.approx(total, rel=1e-12)
    assert evenness(torch.zeros(2, 9)).item() == pytest.approx(math.log(9))


def test_distance_and_spread_in_plain_sums(example):
    _, t, n, _ = example
    away = sum(1 - dot(t[c], n[c, j]) for c in range(3) for j in range(2)) / 6
    together = 0.0
    for c in range(3):
        centre = [(a + b) / 2 for a, b in zip(n[c, 0].tolist(), n[c, 1].tolist(), strict=True)]
        length = math.sqrt(sum(x * x for x in centre))
        together += sum(dot(n[c, j], torch.tensor(centre, dtype=torch.float64)) / length - 1 for j in range(2)) / 6
    assert mean_distance(t, n).item() == pytest.approx(away, rel=1e-12)
    assert gathering(n).item() == pytest.approx(together, rel=1e-12)


def test_the_published_spread_multiplies_lengths(example):
    """Its code takes the lengths of negatives and of their mean where their directions are meant: it is the same."""
    n = example[2]
    lengths, of_mean = n.norm(dim=-1, keepdim=True), n.mean(1, keepdim=True).norm(dim=-1, keepdim=True)
    published = -(1 - lengths @ of_mean.mT).mean()
    assert gathering(n).item() == pytest.approx(published.item(), rel=1e-12)


@pytest.mark.parametrize("variant", ["correct", "official"])
def test_the_second_stage_as_published(example, variant):
    """The branches "OE" and "MSP" of core/train_clip.py, restated in their layout."""
    z, t, n, y = example
    logits = (S * as_published(z, t, n)).flatten(1)
    away = (1 - torch.einsum("cd,cjd->cj", t, n)).mean()
    if variant == "correct":
        expected = -(logits.mean(1) - logits.logsumexp(1)).mean() + 0.3 * away
    else:
        targets = torch.zeros(4, 3, 3).long()
        targets[torch.arange(4), y] = 1
        expected = torch.nn.MultiLabelSoftMarginLoss()(logits, targets.flatten(1)) - 0.3 * away
    expected = expected + 0.2 * (n.mean(1).norm(dim=-1) - 1).mean()
    found = NegPrompt(variant=variant, distance=0.3, spread=0.2).of_negatives(z, t, n, y, S)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_its_score_is_the_published_msp_in_order(example):
    """The largest probability of a class among classes and negatives, of cosines: its log-odds."""
    z, t, n, _ = example
    p = as_published(z, t, n).flatten(1).softmax(1).reshape(4, 3, 3)[:, :, 0].amax(1)
    torch.testing.assert_close(negprompt(z, t, n), p.logit() + math.log(8), rtol=0, atol=1e-12)


def test_an_image_that_is_like_a_negative_looks_unknown(example):
    _, t, n, _ = example
    seen = negprompt(torch.cat([t, n.flatten(0, 1)]), t, n)
    assert seen[:3].min() > seen[3:].max()


def test_the_published_rate_swings():
    """PyTorch's cosine over 50 steps, stepped after every batch and after every epoch."""
    recipe, steps = Swinging(lr=0.1, epochs=30, **PLAIN), 7
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50.0)
    for epoch in range(30):
        for step in range(steps):
            assert recipe.lr_at(epoch, step, steps) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)
            optimiser.step()
            cosine.step()
        cosine.step()


# --------------------------------------------------------------------------------------------- training


def text_features(tiny, names, contexts):
    """(C, contexts, D), text by text."""
    rows = []
    for name in names:
        text = f"{WORDS} {name.replace('_', ' ')}"
        whole = tiny.embed(text)
        rows += [tiny.read(torch.cat([whole[:1], v, whole[1 + M :]]), tiny.tokens(text) + 1) for v in contexts]
    return unit(torch.stack(rows)).reshape(len(names), len(contexts), -1)


def descended(x, loss_of, task, rng, epochs, rate_at):
    """Plain gradient descent over batches of five, five and two images; and the mean loss of each epoch."""
    means = []
    for epoch in range(epochs):
        losses = []
        for step, rows in enumerate(torch.split(torch.randperm(12, generator=rng), 5)):
            x.requires_grad_()
            loss = loss_of(x, unit(task.train.views[epoch % 2][rows]), task.train.labels[rows])
            (gradient,) = torch.autograd.grad(loss, x)
            x = (x - rate_at(epoch, step) * gradient).detach()
            losses.append(loss.item())
        means.append(sum(losses) / len(losses))
    return x, means


@pytest.mark.parametrize("variant", ["correct", "official"])
def test_both_stages_restated(tiny, tiny_task, measured, variant):
    task, names = tiny_task(), tiny_task().classnames
    rng, official = task.generator(), variant == "official"

    def rate_at(epoch, step, epochs):
        return RATE * (1 + math.cos(math.pi * ((4 * epoch + step) / 50 if official else epoch / epochs))) / 2

    def first(v, z, y):
        p = (S * z @ text_features(tiny, names, [v])[:, 0].T).softmax(1)
        return -sum(p[i, y[i]].log() for i in range(len(y))) / len(y)

    v, losses = descended(tiny.embed(WORDS)[1 : 1 + M], first, task, rng, 2, lambda e, i: rate_at(e, i, 2))
    t = text_features(tiny, names, [v])[:, 0]

    def second(w, z, y):
        n = text_features(tiny, names, w)
        logits = S * as_published(z, t, n)
        away = sum(1 - t[c] @ n[c, j] for c in range(3) for j in range(J)) / (3 * J)
        spread = sum(n[c].mean(0).norm() - 1 for c in range(3)) / 3
        if not official:
            return sum(x.logsumexp(0) - x.mean() for x in logits.flatten(1)) / len(y) + 0.1 * away + 0.05 * spread
        own = torch.arange(3) == y[:, None]
        right = -torch.where(own[..., None], logits.sigmoid().log(), (-logits).sigmoid().log()).mean()
        return right - 0.1 * away + 0.05 * spread

    w = v + 1e-5 * (2 * torch.rand(J, M, 32, generator=rng, dtype=torch.float64) - 1)
    w, more = descended(w, second, task, rng, 3, lambda e, i: rate_at(e, i, 3))
    seen = []
    watched = replace(task, on_epoch=lambda *at: seen.append(at))
    method = NegPrompt(variant=variant, negative_epochs=3, recipe=SHORT)
    outputs = method.fit(watched)(task.train.views[0])
    z = unit(task.train.views[0])
    measured("negprompt", outputs.logits, S * z @ t.T)
    n = text_features(tiny, names, w)
    p = as_published(z, t, n).flatten(1).softmax(1).reshape(12, 3, 1 + J)[..., 0].amax(1)
    torch.testing.assert_close(outputs.scores["negprompt"], p.logit() + math.log(8), rtol=0, atol=1e-10)
    assert [at[:2] for at in seen] == [(epoch, 5) for epoch in range(5)]
    assert [at[2] for at in seen] == pytest.approx(losses + more, rel=1e-10)


def test_negatives_change_no_class(tiny_task):
    task, images = tiny_task(), tiny_task().train.views[1]
    few, many = (NegPrompt(negative_epochs=epochs, recipe=SHORT).fit(task)(images) for epochs in (1, 3))
    assert torch.equal(few.logits, many.logits) and torch.equal(few.classes, many.classes)
    assert not torch.allclose(few.scores["negprompt"], many.scores["negprompt"])
    coop = CoOp(words=WORDS, recipe=SHORT).fit(task)(images)
    assert not torch.allclose(coop.logits, few.logits), "CoOp's prompts end with a full stop"


def test_the_heavier_the_distance_the_nearer_negatives_stay(tiny_task):
    """Images that lie where the classes do: the score says how near the negatives are."""
    task = tiny_task()

    def score(distance):
        predictor = NegPrompt(distance=distance, negative_epochs=30, recipe=SHORT).fit(task)
        images = predictor(task.train.views[0]).classes
        return predictor(images).scores["negprompt"].mean().item()

    assert score(1.0) < score(0.0)


def test_permuting_classes_permutes_logits_and_keeps_the_score(tiny_task):
    method, order, images = NegPrompt(negative_epochs=2, recipe=SHORT), (2, 0, 1), tiny_task().train.views[1]
    one, other = method.fit(tiny_task())(images), method.fit(tiny_task(order))(images)
    torch.testing.assert_close(other.logits, one.logits[:, order], rtol=0, atol=1e-9)
    torch.testing.assert_close(other.scores["negprompt"], one.scores["negprompt"], rtol=0, atol=1e-9)


def test_other_names_have_negatives_of_their_own(tiny_task):
    task, images = tiny_task(), tiny_task().train.views[1]
    predictor = NegPrompt(negative_epochs=2, recipe=SHORT).fit(task)
    two = predictor.with_classes((task.classnames[2], task.classnames[0]), task.text[[2, 0]])(images)
    torch.testing.assert_close(two.logits, predictor(images).logits[:, [2, 0]])
    same = predictor.with_classes(task.classnames, task.text)(images)
    torch.testing.assert_close(same.scores["negprompt"], predictor(images).scores["negprompt"])


def test_what_cannot_be_is_one_clear_line():
    with pytest.raises(ValueError, match="n_ctx and negatives must be 1 or more"):
        NegPrompt(negatives=0)


def test_published_defaults():
    method = NegPrompt()
    assert (method.negatives, method.distance, method.spread, method.words) == (2, 0.1, 0.05, WORDS)
    assert method.recipe == Recipe(lr=0.1, epochs=100, batch=64, **PLAIN)
