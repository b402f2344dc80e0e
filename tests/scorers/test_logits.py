"""Scores of the logits against few-line statements, how scores are named, and what "higher = more ID" means."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from croftbench import scorers
from croftbench.errors import DataError, UsageError
from croftbench.method import Outputs
from croftbench.scorers import Context, NotApplicableError

SCALE = 20.0
rows = st.lists(st.floats(-15, 15), min_size=2, max_size=6)


def score(name: str, *logits: list[float], scale: float = SCALE) -> list[float]:
    tensor = torch.tensor(logits, dtype=torch.float64)
    classes = torch.eye(len(logits[0]), dtype=torch.float64)
    context = Context(pytest.fail, torch.zeros(1), scale, [str(i) for i in range(len(logits[0]))], ["{}"], pytest.fail)
    return scorers.fit(name, context)(Outputs(tensor, tensor / scale, classes)).tolist()


def softmax(logits: list[float]) -> list[float]:
    weights = [math.exp(one) for one in logits]
    return [one / math.fsum(weights) for one in weights]


def rest(p: float, logits: list[float]) -> float:
    """1 - p, for one of the probabilities: what the others sum to."""
    shares = softmax(logits)
    shares.remove(p)
    return math.fsum(shares)


def lse(logits: list[float]) -> float:
    return math.log(math.fsum(map(math.exp, logits)))


def odds(p: float) -> float:
    """Log-odds; as many digits as p and 1 - p have."""
    return math.log(p) - math.log1p(-p)


PUBLISHED = {
    "msp": lambda logits: max(softmax(logits)),
    "mcm": lambda logits: max(softmax([one / SCALE for one in logits])),
    "mcm:T=0.05": lambda logits: max(softmax(logits)),
}
"""Scores that are given as log-odds of what is published."""

STATEMENTS = {
    "energy": lambda logits: math.log(sum(map(math.exp, logits))),
    "energy:T=3": lambda logits: 3 * math.log(sum(math.exp(one / 3) for one in logits)),
    "msp": lambda logits: odds(PUBLISHED["msp"](logits)),
    "mcm": lambda logits: odds(PUBLISHED["mcm"](logits)) + math.log(len(logits) - 1),
    "mcm:T=0.05": lambda logits: odds(PUBLISHED["mcm:T=0.05"](logits)) + math.log(len(logits) - 1),
    "max_logit": max,
    "max_cosine": lambda logits: max(logits) / SCALE,
    "entropy": lambda logits: sum(p * math.log(p) for p in softmax(logits)),
    "gen": lambda logits: -sum((p * rest(p, logits)) ** 0.1 for p in softmax(logits)),
    "gen:gamma=0.5": lambda logits: -sum((p * rest(p, logits)) ** 0.5 for p in softmax(logits)),
    "delta_energy": lambda logits: lse(logits) - lse([*sorted(logits)[:-1], 0.0]),
    "margin": lambda logits: sorted(logits)[-1] - sorted(logits)[-2],
}
NAMES = list(STATEMENTS)


def test_every_score_of_the_logits_is_stated():
    alone = {name for name, entry in scorers.SCORERS.items() if not {"train", "text"} & set(entry.uses)}
    assert alone == {name.partition(":")[0] for name in STATEMENTS} | {"ash_p", "ash_b", "ash_s", "scale"}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - PUBLISHED.keys()))
@given(rows)
def test_statements(name, logits):
    assert score(name, logits) == [pytest.approx(STATEMENTS[name](logits), abs=1e-9)]


@pytest.mark.parametrize("name", PUBLISHED)
@given(rows)
def test_log_odds_are_those_of_the_published_probability(name, logits):
    (given_,) = score(name, logits)
    shift = math.log(len(logits) - 1) if name.startswith("mcm") else 0.0
    assert 1 / (1 + math.exp(shift - given_)) == pytest.approx(PUBLISHED[name](logits), abs=1e-10)
    if PUBLISHED[name](logits) < 0.99:  # nearer to 1, 1 - p has no digits left to compare with
        assert given_ == pytest.approx(STATEMENTS[name](logits), abs=1e-10)


@pytest.mark.parametrize("name", ["msp", "mcm:T=0.01", "entropy", "margin", "gen", "delta_energy"])
def test_the_surest_images_do_not_tie(name):
    """Cosines of .30, .31 ... with one class and 0 with the others: float32 probabilities are all exactly 1."""
    logits = torch.zeros(20, 5)
    logits[:, 2] = 100 * torch.linspace(0.30, 0.49, 20)
    assert (logits.softmax(1).amax(1) == 1).all()
    context = Context(pytest.fail, torch.zeros(1), 100.0, list("abcde"), ["{}"], pytest.fail)
    scores = scorers.fit(name, context)(Outputs(logits, logits, torch.eye(5)))
    assert scores.dtype == torch.float32
    assert (scores.diff() > 0).all()


def test_a_thousand_near_equal_classes_do_not_tie():
    """MCM's probabilities are all near 1/C: its log-odds are counted from there, where float32 is fine enough."""
    cosines = 0.2 + 0.01 * torch.randn(4000, 1000, generator=torch.Generator().manual_seed(0))
    context = Context(pytest.fail, torch.zeros(1), 100.0, list(map(str, range(1000))), ["{}"], pytest.fail)
    scores = scorers.fit("mcm", context)(Outputs(100 * cosines, cosines))
    published = (100 * cosines).double().div(100).softmax(1).amax(1)
    assert len(scores.unique()) >= 0.998 * len(published.unique())
    assert (published[scores.argsort()].diff() > -1e-11).all()


@pytest.mark.parametrize("part", ["val", "test", "ood"])
def test_recorded_energies(oracle, close, part):
    recorded = oracle("protocols")
    outputs = Outputs(torch.from_numpy(recorded[f"{part}_logits"]), torch.from_numpy(recorded[f"{part}_z"]))
    close(scorers.fit("energy", None)(outputs), recorded[f"{part}_energy"])  # type: ignore[arg-type]


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
@given(rows, st.randoms())
def test_classes_have_no_order(name, logits, random):
    mixed = random.sample(logits, len(logits))
    assert score(name, logits) == pytest.approx(score(name, mixed), abs=1e-12)


def test_gen_counts_the_largest_probabilities_alone():
    logits = [3.0, 0.0, 1.0, 2.0]
    stated = -sum((p * (1 - p)) ** 0.1 for p in sorted(softmax(logits))[-2:])
    assert score("gen:top=2", logits) == pytest.approx([stated], rel=1e-12)
    assert score("gen:top=4", logits) == score("gen", logits)


@given(rows)
def test_energy_goes_from_the_largest_logit_to_the_mean(logits):
    assert score("energy:T=0.001", logits) == pytest.approx([max(logits)], abs=0.01)
    hot = score("energy:T=100000", logits)[0] - 1e5 * math.log(len(logits))
    assert hot == pytest.approx(np.mean(logits), abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_one_score_an_image_of_the_logits_kind(name):
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    context = Context(pytest.fail, torch.zeros(1), SCALE, list("abcde"), ["{}"], pytest.fail)
    out = scorers.fit(name, context)(Outputs(logits, torch.zeros(7, 3), torch.zeros(5, 3)))
    assert out.shape == (7,)
    assert out.dtype == torch.float32
    assert torch.equal(logits, before)


@pytest.mark.parametrize("name", NAMES)
def test_large_logits_do_not_overflow(name):
    assert all(map(math.isfinite, score(name, [1e4, -1e4, 0.0], [-1e4, -1e4, -1e4])))


def test_what_needs_another_form_of_classifier_says_so():
    context = Context(pytest.fail, torch.zeros(1), SCALE, ["cat"], ["{}"], pytest.fail)
    for name in ("margin", "msp", "mcm", "gen", "delta_energy"):
        with pytest.raises(NotApplicableError, match="only one"):
            scorers.fit(name, context)
    two = Context(pytest.fail, torch.zeros(1), SCALE, ["cat", "dog"], ["{}"], pytest.fail)
    with pytest.raises(NotApplicableError, match="c=2 largest"):
        scorers.fit("delta_energy:c=2", two)
    with pytest.raises(NotApplicableError, match="not scaled cosines"):
        scorers.fit("max_cosine", context)(Outputs(torch.zeros(2, 1), torch.zeros(2, 3)))


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("enrgy", "Did you mean 'energy'"),
        ("knn:kk=3", "Did you mean 'k'"),
        ("knn:k", "not of the form"),
        ("knn:k=2.5", "of type int"),
        ("knn:k=0", "at least 1"),
        ("energy:T=0", "above 0"),
        ("gen:gamma=0", "above 0"),
        ("gen:top=0", "at least 1"),
        ("delta_energy:c=0", "at least 1"),
        ("energy:T=nan", "of type float"),
        ("ash_p:p=100", "below 100"),
        ("react:sides=tow", "Did you mean 'two'"),
        ("mahalanobis:covariance=ledoit", "Did you mean 'ledoit-wolf'"),
        ("neglabel:words=", "must be 'wordnet' or a file"),
        ("knn:k=3,k=5", "knn's k is given twice"),
        ("msp:T=1", "no parameters"),
    ],
)
def test_a_wrong_name_is_one_clear_line(name, says):
    with pytest.raises(UsageError, match=says):
        scorers.parse(name)


def test_names_leave_out_what_is_the_default():
    assert scorers.parse("energy:T=1.0").label == "energy"
    assert scorers.parse("energy:T=0.50").label == "energy:T=0.5"
    assert scorers.parse("nci:alpha=0.001").label == "nci:alpha=0.001"
    assert scorers.parse("react:sides=one,p=95").label == "react:p=95,sides=one"
    for entry in scorers.ALL:
        assert scorers.parse(entry).label == entry


def test_a_list_of_names():
    asked = scorers.split("knn:k=10,energy, neglabel:words=a b.txt,share=0.2,groups=5,energy:T=1,msp")
    assert [one.label for one in asked] == ["knn:k=10", "energy", "neglabel:words=a b.txt,share=0.2,groups=5", "msp"]
    assert [one.label for one in scorers.split("all")] == list(scorers.ALL)
    assert "neglabel" in scorers.ALL
    assert len(scorers.split("energy,all")) == len(scorers.ALL)
    with pytest.raises(UsageError, match="empty list"):
        scorers.split(" , ")


def test_a_word_list_is_known_by_its_content(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("cat\n")
    asked = scorers.parse(f"neglabel:words={words}")
    before = asked.file_digests()
    words.write_text("dog\n")
    assert asked.file_digests() != before
    words.unlink()
    with pytest.raises(DataError, match="cannot read"):
        asked.file_digests()


def test_each_score_says_what_it_is_and_where_it_is_from():
    described = {row["name"]: row for row in scorers.described()}
    assert list(described) == list(scorers.SCORERS)
    for row in described.values():
        assert len(row["what"]) > 12
        assert row["citation"].endswith(".")
        assert any(year in row["citation"] for year in [str(year) for year in range(1948, 2030)])
    assert described["knn"]["parameters"] == "k=50"


def test_naming_a_score_needs_no_torch():
    code = "import sys; from croftbench import scorers; scorers.split('all,knn:k=3'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
