"""Scores that hold an image against what the classifier said of the training images, against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import entropy

from croftbench.scorers import NotApplicableError, memories
from tests.scorers.world import SCALE, SHOTS, C, World


@pytest.fixture
def world():
    return World()


def test_nnguide_is_energy_times_what_sure_neighbours_say(world):
    energy = {name: logsumexp(SCALE * z @ world.w.T, axis=1) for name, z in (("x", world.x), ("train", world.train))}
    for k in (1, 4, C * SHOTS):
        stated = [
            energy["x"][i] * np.mean(sorted(energy["train"] * (world.train @ x))[-k:]) for i, x in enumerate(world.x)
        ]
        assert world.score(f"nnguide:k={k}") == pytest.approx(stated, rel=1e-9)
    with pytest.raises(NotApplicableError, match="needs 55 training images and there are 54"):
        world.score("nnguide:k=55")


def test_nnguide_in_blocks_gives_the_same(world, monkeypatch):
    whole = world.score("nnguide")
    monkeypatch.setattr(memories, "BLOCK", 2 * len(world.train))
    assert world.score("nnguide") == pytest.approx(whole, abs=1e-12)


def test_she_remembers_the_images_that_were_recognised():
    world = World(noise=1.0)
    right = (world.train @ world.w.T).argmax(1) == world.y
    assert 0 < right.sum() < len(right)
    world.w[2] = -world.w[2]  # none of this class is recognised, so all its images count
    right = (world.train @ world.w.T).argmax(1) == world.y
    assert not right[world.y == 2].any()
    taken = right | (world.y == 2)
    patterns = np.stack([world.train[(world.y == c) & taken].mean(0) for c in range(C)])
    predicted = (world.x @ world.w.T).argmax(1)
    assert world.score("she") == pytest.approx((world.x * patterns[predicted]).sum(1), abs=1e-12)


def test_she_needs_an_image_of_every_class(world):
    world.y = np.minimum(world.y, C - 2)
    with pytest.raises(NotApplicableError, match="1 of 6 classes have no training image"):
        world.score("she")


def test_kl_matching_is_the_divergence_from_the_nearest_mean_softmax(world):
    p, q = (np.exp(log_softmax(SCALE * z @ world.w.T, axis=1)) for z in (world.train, world.x))
    means = [p[p.argmax(1) == c].mean(0) for c in range(C)]
    stated = [-min(entropy(one, mean) for mean in means) for one in q]
    assert world.score("kl_matching") == pytest.approx(stated, rel=1e-9)


def test_kl_matching_leaves_out_classes_that_are_never_predicted(world):
    world.w[5] = world.w[4] * 0.999
    assert 5 not in (world.train @ world.w.T).argmax(1)
    assert np.isfinite(world.score("kl_matching")).all()
