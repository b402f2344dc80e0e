"""NegLabel against a plain restatement, and what it makes of a word list."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from croftbench import scorers
from croftbench.errors import DataError, UsageError
from croftbench.method import Outputs
from croftbench.scorers import Context, NotApplicableError, negatives

SCALE, D = 30.0, 8
CLASSES = ["red_fox", "owl", "bus"]
NOUN, ADJECTIVE = "the nice {}", "This is a {} photo"
WORDS = [f"word {i}" for i in range(20)]


def vector(prompt):
    """A fixed random text feature, not of unit length."""
    return np.random.default_rng([*prompt.encode()]).normal(size=D)


def unit(x):
    return x / np.linalg.norm(x)


def feature(name, prompt=NOUN):
    return unit(vector(prompt.format(name.replace("_", " "))))


def published(score):
    """The mean over groups of the probability of the classes, which the score is the log-odds of."""
    return 1 / (1 + math.exp(-score))


@pytest.fixture
def context():
    def encode(prompts):
        return torch.tensor(np.stack([vector(prompt) for prompt in prompts]))

    return Context(pytest.fail, torch.zeros(3), SCALE, CLASSES, ["a suite's {}"], encode)


@pytest.fixture
def outputs():
    z = torch.tensor(np.stack([unit(x) for x in np.random.default_rng(1).normal(size=(5, D))]))
    w = torch.tensor(np.stack([feature(name) for name in CLASSES]))
    return Outputs(SCALE * z @ w.T, z, w)


@pytest.fixture
def write(tmp_path):
    def save(*lines):
        path = tmp_path / "words.txt"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return save


def mined(words, share, eta, prompt=NOUN):
    """The words whose eta-quantile of -cos over classes is largest."""
    classes = [feature(name) for name in CLASSES]
    d = {word: np.quantile([-(feature(word, prompt) @ c) for c in classes], eta) for word in words}
    return sorted(words, key=lambda word: -d[word])[: int(len(words) * share)]


def test_one_group_is_the_sum_of_the_softmax(context, outputs, write):
    words = mined(WORDS, 0.5, 0.05)
    scores = scorers.fit(f"neglabel:words={write(*WORDS)},share=0.5,groups=1,T=2", context)(outputs)
    for score, z, logits in zip(scores, outputs.features.numpy(), outputs.logits.numpy(), strict=True):
        inside = sum(math.exp(logit / 2) for logit in logits)
        outside = sum(math.exp(SCALE * z @ feature(word) / 2) for word in words)
        assert published(score) == pytest.approx(inside / (inside + outside), abs=1e-10)


def test_groups_share_the_words_out_and_drop_the_rest(context, outputs, write):
    words = mined(WORDS, 0.55, 0.5)  # 11 words: two in each of five groups, and the nearest of them dropped
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0)).tolist()
    groups = [[words[order[2 * g]], words[order[2 * g + 1]]] for g in range(5)]
    scores = scorers.fit(f"neglabel:words={write(*WORDS)},share=0.55,eta=0.5,groups=5", context)(outputs)
    for score, z, logits in zip(scores, outputs.features.numpy(), outputs.logits.numpy(), strict=True):
        inside = sum(map(math.exp, logits))
        parts = [inside / (inside + sum(math.exp(SCALE * z @ feature(word)) for word in group)) for group in groups]
        assert published(score) == pytest.approx(np.mean(parts), abs=1e-10)


def test_nouns_and_adjectives_are_mined_apart_and_prompted_apart(context, outputs, tmp_path):
    kinds = [f"kind {i}" for i in range(10)]
    (tmp_path / "nouns.txt").write_text("\n".join(WORDS), encoding="utf-8")
    (tmp_path / "adjectives.txt").write_text("\n".join([*kinds, WORDS[0]]), encoding="utf-8")  # a noun already
    scores = scorers.fit(f"neglabel:words={tmp_path},share=0.3,groups=1", context)(outputs)
    far = [feature(word) for word in mined(WORDS, 0.3, 0.05)]
    far += [feature(word, ADJECTIVE) for word in mined(kinds, 0.3, 0.05, ADJECTIVE)]
    assert len(far) == 6 + 3
    for score, z, logits in zip(scores, outputs.features.numpy(), outputs.logits.numpy(), strict=True):
        inside, outside = sum(map(math.exp, logits)), sum(math.exp(SCALE * z @ n) for n in far)
        assert published(score) == pytest.approx(inside / (inside + outside), abs=1e-10)


def ensemble(prompts, name):
    return unit(np.mean([vector(prompt.format(name.replace("_", " "))) for prompt in prompts], axis=0))


def test_csp_names_a_kind_of_thing_by_each_adjective(context, outputs, tmp_path):
    """Restated: prompts in ensembles, adjectives with a superclass, words that are as good as a class last."""
    kinds = [f"kind {i}" for i in range(10)]
    (tmp_path / "nouns.txt").write_text("\n".join(WORDS), encoding="utf-8")
    (tmp_path / "adjectives.txt").write_text("\n".join(kinds), encoding="utf-8")
    draw = random.Random(0)
    things = [draw.choice(negatives.CSP_SUPERCLASS).format(kind) for kind in kinds]
    assert len(set(things)) == 10
    assert all(thing.startswith(kind + " ") for thing, kind in zip(things, kinds, strict=True))
    classes = [ensemble(negatives.CSP_NOUN, name) for name in CLASSES]

    def far(names, prompts):
        features = [ensemble(prompts, name) for name in names]
        cosines = [[n @ c for c in classes] for n in features]
        near = [1.0 if max(row) > 0.95 else np.quantile(row, 0.9) for row in cosines]
        return [features[i] for i in np.argsort(near, kind="stable")[: int(0.3 * len(names))]]

    chosen = far(WORDS, negatives.CSP_NOUN) + far(things, negatives.CSP_ADJECTIVE)
    assert len(chosen) == 6 + 3
    scores = scorers.fit(f"csp:words={tmp_path},share=0.3,eta=0.1,groups=1", context)(outputs)
    for score, z, logits in zip(scores, outputs.features.numpy(), outputs.logits.numpy(), strict=True):
        inside, outside = sum(map(math.exp, logits)), sum(math.exp(SCALE * z @ n) for n in chosen)
        assert published(score) == pytest.approx(inside / (inside + outside), abs=1e-10)


def test_csp_leaves_what_is_as_good_as_a_class_to_the_last(context, outputs, write, monkeypatch):
    plain = scorers.fit(f"csp:words={write(*WORDS)},share=0.5,groups=1", context)(outputs)
    nearest = {word: max(ensemble(negatives.CSP_NOUN, word) @ ensemble(negatives.CSP_NOUN, c) for c in CLASSES)
               for word in WORDS}  # fmt: skip
    fourth, fifth = sorted(nearest.values())[3:5]
    monkeypatch.setattr(negatives, "CSP_SAME", (fourth + fifth) / 2)  # between, where no processor's last bit decides
    scores = scorers.fit(f"csp:words={write(*WORDS)},share=0.2,groups=1", context)(outputs)
    assert not torch.equal(plain, scores)
    chosen = sorted(WORDS, key=nearest.get)[:4]
    for score, z, logits in zip(scores, outputs.features.numpy(), outputs.logits.numpy(), strict=True):
        outside = sum(math.exp(SCALE * z @ ensemble(negatives.CSP_NOUN, word)) for word in chosen)
        inside = sum(map(math.exp, logits))
        assert published(score) == pytest.approx(inside / (inside + outside), abs=1e-10)


def test_the_shipped_words_are_the_default():
    """NegLabel's corpus: first words of WordNet's synsets, in lower case, without animals and food."""
    asked = scorers.parse("neglabel")
    nouns, adjectives = (path.read_text(encoding="utf-8").splitlines() for path in negatives.word_files("wordnet"))
    assert (len(nouns), len(adjectives)) == (58_514, 12_280)
    assert not set(nouns) & set(adjectives)
    assert {"entity", "umbrella", "act of god"} <= set(nouns)
    assert not {"aardvark", "poodle", "pizza"} & set(nouns)
    assert {"abaxial", "lively"} <= set(adjectives)
    assert asked.file_digests() == scorers.parse("neglabel:words=wordnet").file_digests()
    assert asked.label == "neglabel"


def test_sure_images_do_not_tie(context, outputs, write):
    scorer = scorers.fit(f"neglabel:words={write(*WORDS)},share=1,groups=2", context)
    z = outputs.features[:1].expand(9, -1).float()
    logits = torch.full((9, 3), -60.0)
    logits[:, 1] = torch.linspace(60, 80, 9)
    scores = scorer(Outputs(logits, z))
    assert (scores.sigmoid() == 1).all()
    assert (scores.diff() > 0).all()


def test_classes_and_repetitions_are_no_negative_labels(context, outputs, write):
    clean = scorers.fit(f"neglabel:words={write('tree', 'sky')},share=1,groups=2", context)(outputs)
    lines = ("tree", "", "Red  Fox", "owl", " tree ", "sky", "TREE", "BUS")
    assert torch.equal(scorers.fit(f"neglabel:words={write(*lines)},share=1,groups=2", context)(outputs), clean)


def test_a_word_like_the_image_makes_it_less_in_distribution(context, outputs, write):
    scorer = scorers.fit(f"neglabel:words={write(*WORDS)},share=1,groups=1", context)
    z = torch.tensor(np.stack([feature("word 3"), feature("owl")]))
    seen = Outputs(SCALE * z @ outputs.classes.T, z, outputs.classes)
    odd, owl = scorer(seen)
    assert odd < owl


def test_what_is_wrong_with_a_list_is_one_line(context, outputs, write, tmp_path):
    with pytest.raises(UsageError, match="3 words are mined, fewer than groups=100"):
        scorers.fit(f"neglabel:words={write(*WORDS)}", context)
    with pytest.raises(DataError, match="no word that is not a class"):
        scorers.fit(f"neglabel:words={write('owl', '')}", context)
    with pytest.raises(DataError, match="cannot read the word list"):
        scorers.fit(f"neglabel:words={tmp_path / 'none.txt'}", context)
    scorer = scorers.fit(f"neglabel:words={write(*WORDS)},groups=1", context)
    with pytest.raises(NotApplicableError, match="not in the space"):
        scorer(Outputs(outputs.logits, outputs.features[:, :4]))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_from_another_system_is_the_same_list(context, outputs, write, encoding):
    path = write("tree", "sky")
    clean = scorers.fit(f"neglabel:words={path},share=1,groups=2", context)(outputs)
    path.write_bytes("# mine\r\ntree \r\nsky\r\n".encode(encoding))
    assert torch.equal(scorers.fit(f"neglabel:words={path},share=1,groups=2", context)(outputs), clean)
    path.write_bytes("tree\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"words.txt:2: byte 0xe9 is no UTF-8"):
        scorers.fit(f"neglabel:words={path}", context)
