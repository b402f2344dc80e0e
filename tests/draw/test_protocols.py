"""Draws and populations are those of the published protocols: recorded draws, recorded numbers, facts of the spec."""

from collections import Counter
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from croftbench.draw import build, folds, shares, shots
from croftbench.draw import classes as known
from croftbench.draw.splits import UNKNOWN
from croftbench.runs import scoring
from croftbench.runs.per_image import SplitTable
from croftbench.suites import manifest, registry
from croftbench.suites.language import Shares

SEEDS = (1, 2, 3)


# ---------------------------------------------------------------------------------------- draws


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 16])
def test_few_shot_picks_are_the_published_ones(oracle, seed, count):
    recorded = oracle("sampling")
    picked = shots.per_class(recorded["label"], count, Random(seed))
    assert picked == recorded[f"fewshot_seed{seed}_shots{count}"].tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_balanced_picks_are_the_published_ones(oracle, seed):
    recorded = oracle("sampling")
    picked = shots.per_domain(recorded["label"], recorded["domain"], 16, Random(seed))
    assert picked == recorded[f"balance_seed{seed}_shots16"].tolist()


def classes(suite, seed):
    spec = manifest.suite(suite)
    return known.of_family(spec.classes, registry.family("imagenet"), ["train"], (), seed)


@pytest.mark.parametrize("suite", ["setup1", "setup1-official"])
@pytest.mark.parametrize("seed", SEEDS)
def test_setup_one_knows_the_published_400_classes_in_their_order(oracle, suite, seed):
    ids = registry.family("imagenet").ids
    drawn = classes(suite, seed)
    assert drawn.known == tuple(ids[i] for i in oracle("sampling")[f"setup1_base_index_seed{seed}"])
    assert len(set(drawn.known) | set(drawn.unknown)) == 1000


@pytest.mark.parametrize(("seed", "synsets"), [(1, 402), (2, 401), (3, 401)])
def test_matching_by_name_brings_the_copies_of_a_name_and_by_id_none(seed, synsets):
    """ImageNet's names have "missile" and "sunglasses" twice."""
    family = registry.family("imagenet")
    by_name = classes("setup1-official", seed).labels_of(family)[:-1]
    assert (by_name >= 0).sum() == synsets
    assert (by_name == UNKNOWN).sum() == 1000 - synsets
    assert set(by_name[by_name >= 0]) == set(range(400))
    by_id = classes("setup1", seed).labels_of(family)[:-1]
    assert (by_id >= 0).sum() == 400


@pytest.mark.parametrize(("seed", "overlap"), [(1, 80), (2, 80), (3, 68)])
def test_imagenet_r_has_the_recorded_number_of_known_classes(seed, overlap):
    rendition = registry.family("imagenet-r")
    labels = classes("setup1-official", seed).labels_of(rendition)[list(rendition.parts[0].members)]
    assert (labels >= 0).sum() == overlap


def test_base_to_new_gives_the_odd_class_to_the_base_half():
    spec = manifest.suite("coop-base-to-new").classes
    dtd = known.of_family(spec, registry.family("dtd"), ["train"], (), 1)
    assert (len(dtd.known), len(dtd.unknown)) == (24, 23)
    assert dtd.known + dtd.unknown == registry.family("dtd").ids


# ---------------------------------------------------------------------------------------- published numbers


def table(recorded, role, shift):
    logits = torch.from_numpy(recorded[f"{role}_logits"])
    energy = logits.logsumexp(1).numpy()
    return SplitTable(role, shift, recorded[f"{role}_label"], logits.argmax(1).numpy(), {"energy": energy})


@pytest.mark.parametrize(
    ("record", "positives", "inside"),
    [("setup1_acc_fpr_auroc_thr", "val", "test"), ("setup2_acc_fpr_auroc_thr", "test", "val")],
)
def test_the_official_protocol_gives_the_recorded_numbers(oracle, record, positives, inside):
    """Setup-I: positives are correct validation images; Setup-II: correct images of the left-out domain."""
    recorded = oracle("protocols")
    accuracy, fpr, auroc, _ = recorded[record]
    tables = [
        table(recorded, inside, "id"), table(recorded, "ood", "semantic"), table(recorded, positives, "reference")
    ]  # fmt: skip
    found = {
        (score.metric, score.split): score
        for score in scoring.score(tables, "energy", id_filter="correct", official=True)
        if score.reference in ("", positives)
    }
    assert round(100 * found["accuracy", positives].value, 2) == pytest.approx(accuracy, abs=5.1e-3)
    assert found["fpr95_percentile", "ood"].value == pytest.approx(fpr, abs=1e-12)
    assert found["auroc", "ood"].value == pytest.approx(auroc, abs=1e-12)
    assert found["auroc", "ood"].n_id == tables[2].correct.sum()


def test_only_official_suites_report_the_authors_operating_point(oracle):
    recorded = oracle("protocols")
    tables = [table(recorded, "test", "id"), table(recorded, "ood", "semantic")]
    known, official = ({s.metric for s in scoring.score(tables, "energy", official=how)} for how in (False, True))
    assert official - known == {"fpr95_percentile"}


def test_the_official_test_accuracy_is_over_all_id_images(oracle):
    recorded = oracle("protocols")
    tables = [table(recorded, "test", "id"), table(recorded, "ood", "semantic"), table(recorded, "val", "reference")]
    accuracy = next(s for s in scoring.score(tables, "energy", id_filter="correct") if s.split == "test")
    assert 100 * accuracy.value == pytest.approx(float(recorded["setup1_test_accuracy_percent"]), abs=5.1e-3)


def test_a_full_spectrum_takes_all_known_images_together():
    rng = np.random.default_rng(0)
    splits = [
        SplitTable(name, shift, np.zeros(40, int), np.zeros(40, int), {"msp": rng.random(40).astype(np.float32)})
        for name, shift in (("id", "id"), ("V2", "covariate"), ("R", "covariate"), ("far", "semantic"))
    ]
    found = [s for s in scoring.score(splits, "msp", full_spectrum=True) if s.reference == scoring.FULL_SPECTRUM]
    assert {s.metric for s in found} == {"auroc", "fpr95"}
    assert {s.n_id for s in found} == {120}
    mean = np.mean([s.value for s in scoring.score(splits, "msp") if s.metric == "auroc"])
    assert next(s for s in found if s.metric == "auroc").value == pytest.approx(mean, abs=1e-12)  # splits of one size


# ---------------------------------------------------------------------------------------- samplers and shares


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 9), st.integers(0, 20), st.integers(0, 99))
def test_a_limit_holds_in_each_class_and_in_all(labels, per_class, total, seed):
    kept = shots.limited(labels, per_class, total, np.random.RandomState(seed))
    assert kept.tolist() == sorted(set(kept.tolist()))
    counts = Counter(labels[i] for i in kept)
    assert all(count <= per_class for count in counts.values()) or not per_class
    assert len(kept) <= total or not total
    full = sum(min(n, per_class or n) for n in Counter(labels).values())
    assert len(kept) == min(full, total or full)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 16), st.integers(0, 99))
def test_even_shots_never_leave_a_domain_more_than_one_behind(sizes, count, seed):
    by_domain = [list(range(100 * d, 100 * d + size)) for d, size in enumerate(sizes)]
    picked = shots.even(by_domain, count, np.random.RandomState(seed))
    assert len(picked) == min(count, sum(sizes))
    assert len(set(picked)) == len(picked)
    taken = Counter(domain for domain, _ in picked)
    short = [taken[d] for d, size in enumerate(sizes) if taken[d] < size]
    assert not short or max(taken.values()) - min(short) <= 1


@given(st.permutations([f"pic_{i:03d}.jpg" for i in range(23)]))
def test_shares_of_images_depend_on_file_names_and_not_on_their_order(names):
    spec = Shares(0.8, 0.0, 0.2, "image")
    roles = shares.of_images("photo", "dog", names, spec)
    assert Counter(roles.tolist()) == {0: 18, 2: 5}
    expected = dict(zip(sorted(names), shares.of_images("photo", "dog", sorted(names), spec).tolist(), strict=True))
    assert dict(zip(names, roles.tolist(), strict=True)) == expected


def test_tuning_folds_keep_the_prompts():
    (fold,) = folds(manifest.suite("emoji-open"), 1)
    assert fold.templates == manifest.suite("emoji-open").templates
    assert build.subset(fold.id).paths == tuple(fold.id.pool.paths[row] for row in fold.id.rows)
