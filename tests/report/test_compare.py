"""Comparisons of made-up runs on a real suite's images: pairing, effects, names, and what must be refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from croftbench.errors import DataError, UsageError
from croftbench.report.compare import compare, sentences
from croftbench.report.tables import leaderboard
from croftbench.runs import per_image, results
from croftbench.stats import paired
from croftbench.suites import manifest

OPEN = manifest.suite("emoji-open")
KINDS = manifest.suite("emoji-kinds")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 200)


def by_name(found):
    return {(test.suite, test.metric, test.split): test for test in found.tests}


def test_effects_are_the_differences_of_the_leaderboard(made, tmp_path):
    for seed in (1, 2, 3):
        made(tmp_path, "croft", seed, skill=0.6, detection=1.4)
        made(tmp_path, "zero-shot", seed, skill=0.5)
    found = compare(tmp_path, [OPEN], "croft", "zero-shot")
    table = leaderboard(tmp_path, OPEN).table.set_index("method")
    tests = by_name(found)
    for column, key in {
        "accuracy/id": ("accuracy", "ID"),
        "accuracy/vintage": ("accuracy", "vintage"),
        "accuracy/covariate-mean": ("accuracy", "covariate mean"),
        "auroc/near": ("auroc", "near"),
        "fpr95/digits": ("fpr95", "digits"),
    }.items():
        test = tests["emoji-open", *key]
        assert test.effect == pytest.approx(table.loc["croft", column] - table.loc["zero-shot", column])
        assert test.low < test.effect < test.high
        assert test.p <= test.p_holm
    assert len(found.tests) == 6 + 2 * 4
    assert tests["emoji-open", "accuracy", "ID"].images == 3 * 260
    assert 260 < tests["emoji-open", "accuracy", "ID"].objects <= 650  # seeds draw some of the same glyphs
    assert tests["emoji-open", "accuracy", "covariate mean"].clear
    said = sentences(found)[0]
    points = 100 * tests["emoji-open", "accuracy", "covariate mean"].effect
    assert f"croft is {points:.1f} points more accurate under covariate shift than zero-shot (95% interval" in said
    assert "croft detects digits better (AUROC" in said


def test_the_other_way_round(made, tmp_path):
    made(tmp_path, "croft", 1, skill=0.6)
    made(tmp_path, "zero-shot", 1, skill=0.4)
    there, back = (compare(tmp_path, [OPEN], *names) for names in (("croft", "zero-shot"), ("zero-shot", "croft")))
    for one, other in zip(there.tests, back.tests, strict=True):
        assert (one.effect, one.p, one.p_holm) == pytest.approx((-other.effect, other.p, other.p_holm))
    assert "zero-shot is" in sentences(back)[0]
    assert "less accurate under covariate shift than croft" in sentences(back)[0]


def test_equals_are_noise(made, tmp_path):
    for seed in (1, 2):
        made(tmp_path, "croft", seed)
        made(tmp_path, "zero-shot", seed)
    found = compare(tmp_path, [OPEN], "croft", "zero-shot")
    assert not [test for test in found.tests if test.clear]
    assert "under covariate shift the accuracies of croft and zero-shot differ within noise" in sentences(found)[0]


def replaced(folder, spec, tables):
    """Another table for a run, and the run with its digest."""
    path = results.path_of(folder, spec)
    run = results.read(path)
    path.unlink()
    per_image.write(folder, spec, tables)
    results.write(folder, run)


def test_a_method_that_scores_all_images_alike_is_worse(made, tmp_path):
    made(tmp_path, "zero-shot", 1, detection=2.0)
    spec = made(tmp_path, "croft", 1).spec
    tables = per_image.read(per_image.path_of(tmp_path, spec))
    alike = [replace(one, scores={name: np.ones_like(of) for name, of in one.scores.items()}) for one in tables]
    replaced(tmp_path, spec, alike)
    found = compare(tmp_path, [OPEN], "croft", "zero-shot")
    tests = [test for test in found.tests if test.metric == "fpr95"]
    assert all(test.effect > 0 and test.clear and not test.better for test in tests)
    assert "croft detects near worse (FPR95" in sentences(found)[0]


def test_holm_counts_the_tests_of_all_suites(made, tmp_path):
    for method, skill in (("croft", 0.55), ("zero-shot", 0.5)):
        made(tmp_path, method, 1, skill=skill)
        for fold in ("flat", "line"):
            made(tmp_path, method, 1, skill=skill, suite="emoji-kinds", fold=fold)
    one, both = (compare(tmp_path, suites, "croft", "zero-shot") for suites in ([OPEN], [OPEN, KINDS]))
    assert {test.suite for test in both.tests} == {"emoji-open", "emoji-kinds"}
    smallest = min(both.tests, key=lambda test: test.p)
    assert smallest.p_holm == pytest.approx(min(1, len(both.tests) * smallest.p))
    assert all(two.p_holm >= test.p_holm for test, two in zip(one.tests, both.tests, strict=False))
    assert len(sentences(both)) == 2
    assert by_name(both)["emoji-kinds", "accuracy", "ID"].runs == 2


def test_only_common_seeds_are_compared(made, tmp_path):
    for seed in (1, 2, 3):
        made(tmp_path, "croft", seed)
    made(tmp_path, "zero-shot", 2)
    found = compare(tmp_path, [OPEN], "croft", "zero-shot")
    assert found.tests[0].runs == 1
    assert "seeds 2; folds all; 2 run(s) without a partner left out." in found.notes[0]
    made(tmp_path, "coop", 9)
    with pytest.raises(UsageError, match="no seed and fold of emoji-open in common"):
        compare(tmp_path, [OPEN], "zero-shot", "coop")


def test_names(made, tmp_path):
    runs = [made(tmp_path, "croft", 1, params={"lambda2": value}) for value in (0.1, 0.2)]
    made(tmp_path, "zero-shot", 1)
    with pytest.raises(
        UsageError, match=r"'croft' names 2 configurations: croft, lambda2=0.1; croft, lambda2=0.2|=0.2; .*=0.1"
    ):
        compare(tmp_path, [OPEN], "zero-shot", "croft")
    narrowed = compare(tmp_path, [OPEN], "croft lambda2=0.2", "croft lambda2=0.1")
    assert (narrowed.a, narrowed.b) == ("croft, lambda2=0.2", "croft, lambda2=0.1")
    assert compare(tmp_path, [OPEN], runs[1].spec.run_id, runs[0].spec.run_id[:8]).tests == narrowed.tests
    for name, message in (
        ("crofd", "Did you mean 'croft'"),
        ("croft lamda2=0.1", "Did you mean 'lambda2'"),
        ("croft lambda2=0.3", "unknown lambda2 of croft '0.3'"),
        ("", "unknown method"),
        ("zero-shot", "no two configurations with the same encoder"),
    ):
        with pytest.raises(UsageError, match=message):
            compare(tmp_path, [OPEN], "zero-shot", name)


def test_contenders_share_an_encoder(made, tmp_path):
    made(tmp_path, "croft", 1)
    for encoder in ("clip/a", "clip/b"):
        made(tmp_path, "zero-shot", 1, encoder=encoder)
    assert compare(tmp_path, [OPEN], "croft", "zero-shot").encoder == "clip/a"
    with pytest.raises(UsageError, match="no two configurations with the same encoder"):
        compare(tmp_path, [OPEN], "croft", "zero-shot encoder=clip/b")


def test_another_scorer(made, tmp_path):
    for method in ("croft", "zero-shot"):
        made(tmp_path, method, 1)
    assert {t.scorer for t in compare(tmp_path, [OPEN], "croft", "zero-shot", "msp").tests} == {"", "msp"}
    with pytest.raises(UsageError, match="Did you mean 'energy'"):
        compare(tmp_path, [OPEN], "croft", "zero-shot", "enrgy")


def test_a_suite_without_both_is_left_out_and_named(made, tmp_path):
    for method in ("croft", "zero-shot"):
        made(tmp_path, method, 1)
    made(tmp_path, "croft", 1, suite="emoji-kinds", fold="flat")
    made(tmp_path, "croft", 2, suite_digest="0" * 64)
    found = compare(tmp_path, [OPEN, KINDS], "croft", "zero-shot")
    assert {test.suite for test in found.tests} == {"emoji-open"}
    assert any(note.startswith("emoji-kinds left out: unknown method") for note in found.notes)
    assert "1 run(s) on another digest of emoji-open left out." in found.notes


def test_a_missing_table_names_the_run(made, tmp_path):
    made(tmp_path, "croft", 1)
    spec = made(tmp_path, "zero-shot", 1).spec
    per_image.path_of(tmp_path, spec).unlink()
    with pytest.raises(DataError, match=rf"run {spec.run_id} .*seed 1.* has no per-image table") as caught:
        compare(tmp_path, [OPEN], "croft", "zero-shot")
    assert str(results.path_of(tmp_path, spec)) in caught.value.hint
    assert "\n" not in str(caught.value)


def test_other_images_are_refused(made, tmp_path):
    made(tmp_path, "croft", 1)
    spec = made(tmp_path, "zero-shot", 1).spec
    tables = per_image.read(per_image.path_of(tmp_path, spec))
    replaced(tmp_path, spec, [replace(tables[0], labels=np.roll(tables[0].labels, 1)), *tables[1:]])
    with pytest.raises(DataError, match="does not hold the images that emoji-open draws for seed 1"):
        compare(tmp_path, [OPEN], "croft", "zero-shot")
