"""DeCoOp: its losses in plain sums, both stages against open_clip and gradient descent by hand, and its properties."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from croftbench.errors import DataError
from croftbench.method import Examples
from croftbench.methods.decoop import (
    DeCoOp,
    Swinging,
    classifier_loss,
    detected,
    detector_loss,
    entropy_margin,
    labels_within,
    otsu,
    splits,
)
from croftbench.training import Recipe, unit

S, M, K, RATE = 20.0, 3, 3, 0.05
PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "warmup": 0, "keep_last": True}
SHORT = {"n_ctx": M, "detector_epochs": 2, "recipe": Recipe(lr=RATE, epochs=3, batch=5, **PLAIN)}


def softmax(row):
    odds = [math.exp(x) for x in row]
    return [x / sum(odds) for x in odds]


def entropy(row):
    return -sum(p * math.log(p) for p in softmax(row))


def mean(values):
    return sum(values) / len(values)


# ------------------------------------------------------------------------------------------------ terms


def test_every_class_plays_a_new_one_once():
    assert splits(5, 3) == [[1, 2, 4], [0, 2, 3], [0, 1, 3, 4]]
    assert splits(5, 3, official=True) == [[1, 2, 4, 0], [0, 2, 3, 1], [0, 1, 3, 4]]
    assert splits(6, 3, official=True) == splits(6, 3)
    for classes in range(3, 20):
        absent = sorted(c for one in splits(classes, 3) for c in set(range(classes)) - set(one))
        assert absent == list(range(classes))
        published = -(-classes * 2 // 3)  # n_divs
        assert {len(one) for one in splits(classes, 3, official=True)} == {published}
    assert labels_within([1, 2, 4, 0], 0, 5, 3).tolist() == [-1, 0, 1, -1, 2]


@pytest.mark.parametrize("margin", [0.4, 3.0])
def test_a_detectors_loss_in_plain_sums(margin):
    logits = 3 * torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, -1, 2, 1, -1])
    rows = logits.tolist()
    ce = mean([-math.log(softmax(rows[i])[y[i]]) for i in (0, 2, 3)])
    hinge = margin + mean([entropy(rows[i]) for i in (0, 2, 3)]) - mean([entropy(rows[i]) for i in (1, 4)])
    assert detector_loss(logits, y, margin).item() == pytest.approx(ce + max(0.0, hinge), rel=1e-12)


def test_a_batch_of_one_kind_has_no_hinge():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    y = torch.tensor([0, 1, 2, 2])
    assert detector_loss(logits, y, 9.0).item() == torch.nn.functional.cross_entropy(logits, y).item()
    nothing = detector_loss(logits, torch.full((4,), -1), 9.0)
    nothing.backward()
    assert nothing.item() == 0 and not logits.grad.any()


@pytest.mark.parametrize("known", [[True, False, True, False], [True] * 4, [False] * 4])
def test_a_sub_classifiers_loss_in_plain_sums(known):
    random = torch.Generator().manual_seed(0)
    logits, zero_shot = (2 * torch.randn(4, 3, generator=random, dtype=torch.float64) for _ in range(2))
    y, expected = [0, 2, 1, 1], 0.0
    for i, inside in enumerate(known):
        q, q0 = softmax(logits[i].tolist()), softmax(zero_shot[i].tolist())
        own = -math.log(q[y[i]]) if inside else sum(a * math.log(a / b) for a, b in zip(q0, q, strict=True))
        expected += own / known.count(inside)
    found = classifier_loss(logits, zero_shot, torch.tensor(y), torch.tensor(known))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_detected_is_the_largest_probability_of_what_is_known():
    logits = 2 * torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    known, found = [[1, 3], [0, 2, 4]], None
    p = logits.softmax(-1)
    expected = torch.stack([p[:, 0, [1, 3]].amax(1), p[:, 1, [0, 2, 4]].amax(1)], 1)
    found = detected(logits, known)
    torch.testing.assert_close(found, expected.logit(), rtol=0, atol=1e-12)
    assert detected(1000 * logits, known).isfinite().all(), "no ties at 1"


def test_otsu_in_plain_sums():
    random = torch.Generator().manual_seed(0)
    p = torch.cat([0.2 + 0.1 * torch.rand(40, generator=random), 0.7 + 0.2 * torch.rand(25, generator=random)]).double()
    counts, edges = np.histogram(p.numpy(), 256)
    centres, best = [(a + b) / 2 for a, b in itertools.pairwise(edges)], (-1.0, 0.0)
    for k in range(255):
        low, high = counts[: k + 1], counts[k + 1 :]
        means = np.dot(low, centres[: k + 1]) / low.sum(), np.dot(high, centres[k + 1 :]) / high.sum()
        best = max(best, (low.sum() * high.sum() * (means[0] - means[1]) ** 2, -centres[k]))
    assert 0.25 < otsu(p) < 0.75
    assert otsu(p) == pytest.approx(-best[1], abs=1e-12)
    assert otsu(torch.full((9,), 0.5)) == 0.5


def test_the_margin_of_entropies():
    even, sure = [1 / 7] * 7, [0.4 / 6] * 6 + [0.6]
    published = sum(p * math.log(p) for p in sure) - sum(p * math.log(p) for p in even)
    assert entropy_margin(7) == pytest.approx(published, rel=1e-12)
    assert entropy_margin(1) == 0


def test_the_published_rate_swings():
    """PyTorch's cosine over as many steps as there are epochs, stepped after every batch."""
    recipe = Swinging(lr=0.002, epochs=10, **PLAIN)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.002)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)
    for epoch in range(10):
        for step in range(7):
            assert recipe.lr_at(epoch, step, 7) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-12)
            optimiser.step()
            cosine.step()


# --------------------------------------------------------------------------------------------- training


def text_features(tiny, names, v):
    """(C, D), text by text."""
    rows = []
    for name in names:
        text = f"{name.replace('_', ' ')}."
        whole = tiny.embed(text)
        rows.append(tiny.read(torch.cat([whole[:1], v, whole[1 : 24 - M]]), M + tiny.tokens(text) + 1))
    return unit(torch.stack(rows))


def descended(x, loss_of, task, rng, rates):
    """Plain gradient descent over batches of five, five and two images."""
    for epoch, row in enumerate(rates):
        for rate, images in zip(row, torch.split(torch.randperm(12, generator=rng), 5), strict=True):
            x.requires_grad_()
            loss = loss_of(x, unit(task.train.views[epoch % 2][images]), task.train.labels[images])
            x = (x - rate * torch.autograd.grad(loss, x)[0]).detach()
    return x


def restated(tiny, task, official):
    """Contexts of detectors and of sub-classifiers after training, and the threshold."""
    names, rng, e = task.classnames, task.generator(), unit(task.text)
    v, w = (0.02 * torch.randn(K, M, 32, generator=rng, dtype=torch.float64) for _ in range(2))

    def detectors(v, z, y):
        total = 0.0
        for i in range(K):
            known = [c for c in range(3) if c != i]
            logits = S * z @ text_features(tiny, [names[c] for c in known], v[i]).T
            log_p = logits.log_softmax(1)
            H = -(log_p.exp() * log_p).sum(1)
            inside = [b for b in range(len(y)) if y[b] != i]
            outside = [b for b in range(len(y)) if y[b] == i]
            if inside:
                total = total - mean([log_p[b, known.index(y[b])] for b in inside])
            if inside and outside:
                total = total + (0.4 + H[inside].mean() - H[outside].mean()).clamp(min=0)
        return total / K

    def largest(z):
        """(B, K) probabilities of what each detector knows."""
        p = [(S * z @ text_features(tiny, names, v[i]).T).softmax(1) for i in range(K)]
        return torch.stack([p[i][:, [c for c in range(3) if c != i]].amax(1) for i in range(K)], 1)

    v = descended(v, detectors, task, rng, [[RATE] * 3] * 2)
    r = largest(unit(task.train.views.flatten(0, 1)))
    tau = min(otsu(r[:, i]) for i in range(K))

    def classifiers(w, z, y):
        total, r, zero_shot = 0.0, largest(z), (S * z @ e.T).softmax(1)
        for i in range(K):
            q = (S * z @ text_features(tiny, names, w[i]).T).softmax(1)
            inside = [-q[b, y[b]].log() for b in range(len(y)) if r[b, i] >= tau]
            outside = [(zero_shot[b] * (zero_shot[b] / q[b]).log()).sum() for b in range(len(y)) if r[b, i] < tau]
            total = total + sum(mean(kind) for kind in (inside, outside) if kind)
        return total / K

    cosine = [[3 * epoch + step if official else epoch for step in range(3)] for epoch in range(3)]
    rates = [[RATE * (1 + math.cos(math.pi * done / 3)) / 2 for done in row] for row in cosine]
    return v, descended(w, classifiers, task, rng, rates), tau


def predicted(tiny, task, v, w, tau, z, names, text):
    """Logits and score as the authors' `evaluate` has them, image by image."""
    joint = [*task.classnames, *(name for name in names if name not in task.classnames)]
    rows, scores = [], []
    detectors = [text_features(tiny, joint, v[i]) for i in range(K)]
    classifiers = [text_features(tiny, names, w[i]) for i in range(K)]
    for image in z:
        p = [(S * detectors[i] @ image).softmax(0) for i in range(K)]
        r = [max(p[i][c] for c in range(3) if c != i) for i in range(K)]
        learned = sum(S * classifiers[i] @ image for i in range(K) if r[i] >= tau) / K
        rows.append(learned if max(r) >= tau else S * unit(text) @ image)
        scores.append(max(r).logit())
    return torch.stack(rows), torch.stack(scores)


@pytest.mark.parametrize("variant", ["correct", "official"])
def test_both_stages_restated(tiny, tiny_task, measured, variant):
    task = tiny_task()
    seen = []
    watched = replace(task, on_epoch=lambda *at: seen.append(at[:2]))
    predictor = DeCoOp(variant=variant, **SHORT).fit(watched)
    assert seen == [(epoch, 5) for epoch in range(5)]
    with torch.enable_grad():
        v, w, tau = restated(tiny, task, variant == "official")
    random = torch.randn(60, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = torch.cat([task.train.views.flatten(0, 1), random])
    new = ("cow", *task.classnames[:2], "blue whale")
    text = torch.randn(4, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outputs, joint = predictor(images), predictor.with_classes(new, text)(images)
    logits, score = predicted(tiny, task, v, w, tau, unit(images), task.classnames, task.text)
    measured("decoop", outputs.logits, logits)
    torch.testing.assert_close(outputs.scores["decoop"], score, rtol=0, atol=1e-10)
    logits, score = predicted(tiny, task, v, w, tau, unit(images), new, text)
    measured("decoop", joint.logits, logits)
    torch.testing.assert_close(joint.scores["decoop"], score, rtol=0, atol=1e-10)
    known = outputs.scores["decoop"].sigmoid() >= tau
    assert known.any() and not known.all(), "both ways to classify are compared"


def test_what_no_detector_recognises_is_zero_shots(tiny_task):
    """From some score downwards the logits are those of the hand-written prompts, and above they are not."""
    task = tiny_task()
    f = torch.cat([*task.train.views, torch.randn(200, 16, generator=torch.Generator().manual_seed(0)).double()])
    outputs = DeCoOp(**SHORT).fit(task)(f)
    zero_shot = S * unit(f) @ unit(task.text).T
    left = ((outputs.logits - zero_shot).abs().amax(1) < 1e-9)[outputs.scores["decoop"].argsort()]
    unknown = int(left.sum())
    assert 0 < unknown < len(f) and left[:unknown].all() and not left[unknown:].any()


def test_new_names_compete_in_the_score(tiny_task):
    task, f = tiny_task(), tiny_task().train.views[0]
    predictor = DeCoOp(**SHORT).fit(task)
    text = torch.cat([task.text, task.text[:1]])
    joint = predictor.with_classes((*task.classnames, "cow"), text)(f)
    assert (joint.scores["decoop"] < predictor(f).scores["decoop"]).all()
    two = predictor.with_classes((task.classnames[2], task.classnames[0]), task.text[[2, 0]])(f)
    torch.testing.assert_close(two.logits, predictor(f).logits[:, [2, 0]])
    assert torch.equal(two.scores["decoop"], predictor(f).scores["decoop"])


def test_detectors_learn_what_is_new(tiny_task):
    """A class that plays a new one is left with a higher entropy than those that a detector knows."""
    task = tiny_task()

    def score(epochs):
        recipe = Recipe(lr=0.2, epochs=1, batch=12, **PLAIN)
        f = task.train.views[0]
        return DeCoOp(n_ctx=M, detector_epochs=epochs, recipe=recipe).fit(task)(f).scores["decoop"].mean()

    assert score(40) > score(0)


def test_one_class_or_one_part_is_one_clear_line(tiny_task):
    task = tiny_task()
    one = Examples(task.train.views[:, :1], torch.zeros(1).long(), torch.zeros(1).long())
    with pytest.raises(DataError, match="there is only one"):
        DeCoOp(**SHORT).fit(replace(task, classnames=("dog",), train=one, text=task.text[:1]))
    with pytest.raises(ValueError, match="K 2 or more"):
        DeCoOp(K=1)
    assert DeCoOp(K=9, **SHORT).fit(task)(task.train.views[0]).logits.shape == (12, 3)


def test_published_defaults():
    method = DeCoOp()
    assert (method.K, method.margin, method.n_ctx, method.detector_epochs) == (3, 0.4, 16, 50)
    assert method.recipe == Recipe(lr=0.002, epochs=100, batch=32, **PLAIN)
