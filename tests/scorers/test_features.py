"""Scores that know the training images, against NumPy and scikit-learn, recorded numbers, and their symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from croftbench import scorers
from croftbench.errors import UsageError
from croftbench.method import Outputs
from croftbench.scorers import Context, NotApplicableError, distances
from croftbench.stats import metrics
from tests.scorers.world import SCALE, SHOTS, SMALL, C, D, World, unit

ALONE = {name: entry for name, entry in scorers.SCORERS.items() if not entry.stream}
TRAINED = [name for name, entry in ALONE.items() if {"train", "classes"} & set(entry.uses)]
SHAPED = ("react", "ash_p", "ash_b", "ash_s", "scale")


@pytest.fixture
def world():
    return World()


# ------------------------------------------------------------------------------------- distances


@pytest.mark.parametrize("k", [1, 7, C * SHOTS])
def test_knn_is_the_distance_to_the_kth_neighbour(world, k):
    neighbours, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(world.train).kneighbors(world.x)
    assert world.score(f"knn:k={k}") == pytest.approx(-(neighbours[:, -1] ** 2), abs=1e-8)  # 1e-10 is added to norms


@pytest.mark.parametrize("k", [1, 5, 10, 25, 50])
def test_knn_gives_the_recorded_numbers(oracle, k):
    """CRoFT's KNN script: val features are the bank, all test images the positives."""
    recorded = oracle("protocols")
    bank, inside, outside = (
        Outputs(torch.zeros(len(recorded[f"{part}_z"]), 5), torch.from_numpy(recorded[f"{part}_z"]))
        for part in ("val", "test", "ood")
    )
    context = Context(lambda: bank, torch.zeros(60), 100.0, list("abcde"), ["{}"], pytest.fail)
    scorer = scorers.fit(f"knn:k={k}", context)
    positives, negatives = scorer(inside).numpy(), scorer(outside).numpy()
    auroc, aupr, fpr = recorded[f"setup2_knn{k}_auroc_aupr_fpr"]
    assert metrics.auroc(positives, negatives).value == pytest.approx(auroc, abs=1e-12)
    assert metrics.aupr(positives, negatives).value == pytest.approx(aupr, abs=1e-12)
    assert average_precision_score([1] * 70 + [0] * 90, [*positives, *negatives]) == pytest.approx(aupr)
    assert metrics.fpr_at_nearest_recall(positives, negatives) == pytest.approx(fpr, abs=1e-12)


def test_knn_in_blocks_gives_the_same(world, monkeypatch):
    whole = world.score("knn")
    monkeypatch.setattr(distances, "BLOCK", 3 * C * SHOTS)
    assert world.score("knn") == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("k", [1, 50, 300])
def test_knn_is_to_the_bit_what_sorting_all_distances_gives(k):
    world = World(shots=60)
    train, x = (torch.tensor(v, dtype=torch.float32) for v in (world.train, world.x))
    b, z = (v / (v.square().sum(1).sqrt()[:, None] + 1e-10) for v in (train, x))
    distances = (z.square().sum(1, keepdim=True) + b.square().sum(1)).addmm(z, b.T, alpha=-2)
    expected = -distances.sort(1).values[:, k - 1].clamp_min(0)
    assert np.array_equal(world.score(f"knn:k={k}", torch.float32), expected.numpy())


@pytest.mark.parametrize(("name", "estimator"), [("ledoit-wolf", LedoitWolf), ("empirical", EmpiricalCovariance)])
@pytest.mark.parametrize("shots", [SHOTS, 2])
def test_mahalanobis_is_that_of_scikit_learn(name, estimator, shots):
    """With two shots there are fewer images than dimensions: a pseudo-inverse, or shrinkage."""
    world = World(shots=shots)
    means = np.stack([world.train[world.y == c].mean(0) for c in range(C)])
    within = estimator(assume_centered=True).fit(world.train - means[world.y]).precision_
    centre = world.train.mean(0)
    overall = estimator(assume_centered=True).fit(world.train - centre).precision_
    near = np.array([min((x - m) @ within @ (x - m) for m in means) for x in world.x])
    far = np.array([(x - centre) @ overall @ (x - centre) for x in world.x])
    assert world.score(f"mahalanobis:covariance={name}") == pytest.approx(-near, rel=1e-8)
    assert world.score(f"relative_mahalanobis:covariance={name}") == pytest.approx(far - near, rel=1e-8)


def test_shrinkage_vanishes_as_images_grow_in_number():
    world = World(shots=20_000 // C)
    assert world.score("mahalanobis") == pytest.approx(world.score("mahalanobis:covariance=empirical"), rel=0.02)


# ------------------------------------------------------------------------------------- class features


def test_vim_is_energy_less_the_scaled_residual(world):
    _, _, vt = np.linalg.svd(world.train)  # principal directions without centring
    residual = vt[5:].T
    alpha = (SCALE * world.train @ world.w.T).max(1).mean() / np.linalg.norm(world.train @ residual, axis=1).mean()
    expected = logsumexp(SCALE * world.x @ world.w.T, axis=1) - alpha * np.linalg.norm(world.x @ residual, axis=1)
    assert world.score("vim:dim=5") == pytest.approx(expected, abs=1e-9)


def test_vims_rule_for_the_principal_space(world):
    assert np.array_equal(world.score("vim:dim=0"), world.score("vim:dim=8"))  # half of 16 features
    few = World(shots=1)
    assert np.array_equal(few.score("vim:dim=0"), few.score("vim:dim=3"))  # half of 6 images
    with pytest.raises(NotApplicableError, match="no residual"):
        scorers.fit("vim:dim=6", few.context())


def test_fdbd_is_the_mean_distance_to_the_boundaries(world):
    mean, expected = world.train.mean(0), []
    for z in world.x:
        f = int((world.w @ z).argmax())
        each = [abs((world.w[f] - w) @ z) / np.linalg.norm(world.w[f] - w) for c, w in enumerate(world.w) if c != f]
        expected.append(sum(each) / (C - 1) / np.linalg.norm(z - mean))
    assert world.score("fdbd") == pytest.approx(expected, rel=1e-9)
    world.w[1] = world.w[0]  # no boundary between the two: a finite score
    assert np.isfinite(world.score("fdbd")).all()


def test_fdbd_follows_class_features_that_change_in_place(world):
    """The gaps between classes are kept from chunk to chunk; a predictor may write on the tensor that it returned."""
    scorer, outputs = scorers.fit("fdbd", world.context()), world.outputs(world.x)
    scorer(outputs)
    world.w[:] = world.w @ np.diag(np.linspace(0.5, 2, D))
    outputs.classes.copy_(torch.tensor(world.w))
    outputs.logits.copy_(SCALE * outputs.features @ outputs.classes.T)
    assert np.array_equal(scorer(outputs).numpy(), world.score("fdbd"))


def test_nci_is_alignment_and_a_norm(world):
    mean = world.train.mean(0)
    w = world.w[(world.x @ world.w.T).argmax(1)]
    aligned = ((world.x - mean) * w).sum(1) / np.linalg.norm(world.x - mean, axis=1)
    assert world.score("nci:alpha=0") == pytest.approx(aligned, abs=1e-12)
    assert world.score("nci:alpha=0.1") == pytest.approx(aligned + 0.1 * np.abs(world.x).sum(1), abs=1e-12)


def test_residual_is_vims_without_the_logits(world):
    energy = logsumexp(SCALE * world.x @ world.w.T, axis=1)
    lengths = -world.score("residual:dim=5")
    by = (energy - world.score("vim:dim=5")) / lengths
    assert by == pytest.approx(by[0], rel=1e-9)
    inside = world.train[:5].T @ np.random.default_rng(1).normal(size=(5, 3))
    few = Context(lambda: world.outputs(world.train[:5]), torch.zeros(5), SCALE, list("abcdef"), ["{}"], pytest.fail)
    spanned = scorers.fit("residual:dim=4", few)(world.outputs(unit(inside.T)))
    assert (-spanned < 0.7).all()
    assert np.linalg.norm(np.linalg.svd(world.train)[2][5:] @ world.x.T, axis=0) == pytest.approx(lengths, abs=1e-12)


# ------------------------------------------------------------------------------------- shaped features


def published_ash(x, p, kind):
    """One image of the published functions: its k largest values are left, plain loops."""
    k = len(x) - int(np.round(len(x) * p / 100))
    left = sorted(range(len(x)), key=lambda j: -x[j])[:k]
    pruned = np.array([x[j] if j in left else 0.0 for j in range(len(x))])
    if kind == "b":
        return np.where(pruned > 0, x.sum() / k, 0.0)
    return pruned * np.exp(x.sum() / pruned.sum()) if kind == "s" else pruned


@pytest.mark.parametrize(("kind", "p"), [("p", 60), ("b", 65), ("s", 90)])
def test_ash_is_the_published_one_where_no_feature_is_negative(kind, p):
    world = World()
    world.x, world.w = np.abs(world.x), np.abs(world.w)
    shaped = np.stack([published_ash(x, p, kind) for x in world.x])
    expected = logsumexp(SCALE * shaped @ world.w.T, axis=1)
    assert world.score(f"ash_{kind}") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", ["p", "b", "s"])
def test_ash_takes_signs_as_they_come(world, kind):
    """Flipping a coordinate everywhere changes no cosine, and so no score."""
    before = world.score(f"ash_{kind}")
    for part in (world.x, world.w, world.train):
        part[:, ::2] *= -1
    assert world.score(f"ash_{kind}") == pytest.approx(before, abs=1e-9)


def test_ash_that_prunes_nothing_is_energy(world):
    assert world.score("ash_p:p=0") == pytest.approx(world.score("energy"), abs=1e-9)
    with pytest.raises(UsageError, match="leaves none"):
        world.score("ash_p:p=99")


def test_scale_is_ash_s_without_pruning(world):
    magnitudes = -np.sort(-np.abs(world.x), axis=1)
    k = D - round(D * 0.85)
    scaled = world.x * np.exp(magnitudes.sum(1) / magnitudes[:, :k].sum(1))[:, None]
    assert world.score("scale") == pytest.approx(logsumexp(SCALE * scaled @ world.w.T, axis=1), rel=1e-9)


def test_react_clips_at_a_percentile_of_the_training_images(world):
    c = np.percentile(np.abs(world.train), 80)
    top = np.percentile(world.train, 80)
    for name, shaped in (("react:p=80", world.x.clip(-c, c)), ("react:p=80,sides=one", world.x.clip(max=top))):
        assert world.score(name) == pytest.approx(logsumexp(SCALE * shaped @ world.w.T, axis=1), abs=1e-9)
    positive = World()
    positive.x, positive.train = np.abs(positive.x), np.abs(positive.train)
    assert np.array_equal(positive.score("react"), positive.score("react:sides=one"))


# ------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", [n for n in TRAINED if n not in SHAPED])
def test_a_rotation_of_the_space_changes_nothing(world, name):
    before = world.score("nci:alpha=0" if name == "nci" else name)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(D, D)))[0]
    world.x, world.train, world.w = world.x @ turn, world.train @ turn, world.w @ turn
    assert world.score("nci:alpha=0" if name == "nci" else name) == pytest.approx(before, rel=1e-8)


@pytest.mark.parametrize("name", TRAINED)
def test_classes_and_training_images_have_no_order(world, name):
    before = world.score(name)
    order = np.random.default_rng(5).permutation(C)
    mixed = np.random.default_rng(6).permutation(C * SHOTS)
    world.w, world.y = world.w[order], np.argsort(order)[world.y]
    world.train, world.y = world.train[mixed], world.y[mixed]
    assert world.score(name) == pytest.approx(before, rel=1e-8)


@pytest.mark.parametrize("name", TRAINED)
def test_each_image_is_scored_alone_and_in_single_precision(world, name):
    exact = world.score(name)
    single = world.score(name, torch.float32)
    assert single.dtype == np.float32
    assert single == pytest.approx(exact, rel=1e-3, abs=1e-3)
    scorer = scorers.fit(SMALL.get(name, name), world.context())
    alone = [float(scorer(world.outputs(x[None]))) for x in world.x]
    assert alone == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", TRAINED)
def test_outputs_are_left_alone(world, name):
    outputs = world.outputs(world.x)
    before = [tensor.clone() for tensor in (outputs.logits, outputs.features, outputs.classes)]
    scorers.fit(SMALL.get(name, name), world.context())(outputs)
    assert all(map(torch.equal, before, (outputs.logits, outputs.features, outputs.classes)))


@pytest.mark.parametrize("name", [n for n in TRAINED if n not in ("max_cosine", *SHAPED[1:])])
def test_a_class_image_is_more_in_distribution_than_noise(name):
    world = World(noise=0.1, dim=64)
    world.x = np.concatenate([World(seed=0, noise=0.1, dim=64).train[::SHOTS] + 0.02, world.x])
    scores = world.score(name)
    assert scores[:C].min() > np.median(scores[C:])


@pytest.mark.parametrize("name", ["mahalanobis", "relative_mahalanobis"])
def test_one_image_a_class_has_no_covariance(name):
    with pytest.raises(NotApplicableError, match="one training image"):
        scorers.fit(name, World(shots=1).context())


def test_what_is_degenerate_is_a_reason_or_a_number():
    world = World(shots=1)
    with pytest.raises(NotApplicableError, match="needs 50 training images and there are 6"):
        scorers.fit("knn", world.context())
    for name in ("knn:k=1", "vim", "fdbd", "nci", "react"):
        assert np.isfinite(world.score(name)).all()
    none = Context(pytest.fail, torch.zeros(0), SCALE, list("ab"), ["{}"], pytest.fail)
    with pytest.raises(NotApplicableError, match="no training image"):
        scorers.fit("knn:k=1", none)


@pytest.mark.parametrize("name", [n for n, entry in ALONE.items() if "classes" in entry.uses])
def test_logits_of_another_form_have_no_class_features(world, name):
    other = Outputs(torch.zeros(len(world.train), C), torch.tensor(world.train))
    context = Context(lambda: other, torch.tensor(world.y), SCALE, list("abcdef"), ["{}"], pytest.fail)
    with pytest.raises(NotApplicableError, match="not scaled cosines"):
        scorers.fit(name, context)(other)
