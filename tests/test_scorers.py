"""Scorers against few-line statements, recorded energies, and what "higher = more ID" means."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from croftbench import scorers
from croftbench.errors import DataError, UsageError
from croftbench.method import Outputs

SCALE = 20.0
NAMES = sorted(scorers.SCORERS)
rows = st.lists(st.floats(-15, 15), min_size=2, max_size=6)


def score(name: str, *logits: list[float], scale: float = SCALE) -> list[float]:
    tensor = torch.tensor(logits, dtype=torch.float64)
    return scorers.get(name)(Outputs(tensor, torch.zeros(len(logits), 3)), scale).tolist()


def softmax(logits: list[float]) -> list[float]:
    weights = [math.exp(one) for one in logits]
    return [one / sum(weights) for one in weights]


STATEMENTS = {
    "energy": lambda logits: math.log(sum(map(math.exp, logits))),
    "msp": lambda logits: max(softmax(logits)),
    "mcm": lambda logits: max(softmax([one / SCALE for one in logits])),
    "max_logit": max,
    "entropy": lambda logits: sum(p * math.log(p) for p in softmax(logits)),
    "margin": lambda logits: sorted(logits)[-1] - sorted(logits)[-2],
}


def test_every_scorer_is_stated():
    assert set(STATEMENTS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@given(rows)
def test_statements(name, logits):
    assert score(name, logits) == [pytest.approx(STATEMENTS[name](logits), abs=1e-9)]


@pytest.mark.parametrize("part", ["val", "test", "ood"])
def test_recorded_energies(oracle, close, part):
    recorded = oracle("protocols")
    outputs = Outputs(torch.from_numpy(recorded[f"{part}_logits"]), torch.from_numpy(recorded[f"{part}_z"]))
    close(scorers.energy(outputs, float(torch.tensor(recorded["log_scale"]).exp())), recorded[f"{part}_energy"])


@pytest.mark.parametrize("name", NAMES)
@given(rows, st.floats(0.5, 5))
def test_a_more_certain_image_is_more_in_distribution(name, logits, gain):
    """Raising the largest logit never lowers a score, and raises it clearly from a flat start."""
    top = logits.index(max(logits))
    raised = [one + gain * (i == top) for i, one in enumerate(logits)]
    before, after = score(name, logits, raised)
    assert after >= before - 1e-12
    flat, peaked = score(name, [0.0] * 4, [gain, 0.0, 0.0, 0.0])
    assert peaked > flat


@pytest.mark.parametrize("name", NAMES)
def test_one_score_an_image_of_the_logits_kind(name):
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    out = scorers.get(name)(Outputs(logits, torch.zeros(7, 3)), SCALE)
    assert out.shape == (7,)
    assert out.dtype == torch.float32
    assert torch.equal(logits, before)


@pytest.mark.parametrize("name", NAMES)
def test_large_logits_do_not_overflow(name):
    assert all(map(math.isfinite, score(name, [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4])))


def test_mcm_alone_depends_on_the_scale():
    for name in NAMES:
        assert (score(name, [3.0, 1.0], scale=1.0) != score(name, [3.0, 1.0], scale=100.0)) == (name == "mcm")


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'energy'"):
        scorers.get("enrgy")


def test_each_scorer_says_what_it_is():
    assert list(scorers.described()) == list(scorers.SCORERS)
    assert all(len(what) > 20 for what in scorers.described().values())


def test_margin_needs_two_classes():
    with pytest.raises(DataError, match="only one"):
        score("margin", [1.0])
