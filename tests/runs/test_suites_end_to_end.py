"""Every suite runs from images on a disk to a table, on small copies of its datasets, with the encoder that ships."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from croftbench import draw, encoders, plugins
from croftbench.data.roots import Roots
from croftbench.errors import DataError
from croftbench.report import committed, page, tables
from croftbench.report.formats import terminal
from croftbench.runs import per_image, planning, results
from croftbench.runs.execute import Workbench
from croftbench.runs.recheck import check
from croftbench.suites import manifest, registry, suite_rules
from tests.layouts import build
from tests.layouts.runnable import runnable

ON_DISK = [name for name in manifest.names("suites") if not name.startswith("emoji")]
IMAGES = 4
"""Of each class and part: enough that an 80 to 20 share leaves some for each role."""


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> Path:
    """The manifests with few classes; suites ask for half of them where they ask for 400."""
    return runnable(tmp_path_factory.mktemp("e2e") / "manifests", classes=4, images=IMAGES)


@pytest.fixture(scope="module")
def data(manifests, tmp_path_factory) -> Path:
    """A data folder with every split of every suite."""
    root = tmp_path_factory.mktemp("data")
    needed: dict[str, set[str]] = {}
    for name in ON_DISK:
        for _, split in suite_rules.split_ids(manifest.suite(name, manifests)):
            family, part = registry.split(split, manifests)
            needed.setdefault(family.name, set()).add(part.name)
    for name, parts in needed.items():
        family = registry.family(name, manifests)
        while parts:
            layout = max(family.layouts, key=lambda one: len([part for part in parts if one.has(part)]))
            build(root, family, layout)
            parts -= {part for part in parts if layout.has(part)}
    return root


@pytest.mark.parametrize("name", ON_DISK)
def test_a_suite_runs_from_disk_to_table(name, manifests, data, cache, tmp_path):
    suite, roots = manifest.suite(name, manifests), Roots(data, manifests)
    bench = Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"), roots=roots)
    info = plugins.describe("zero-shot", cache)
    for job in planning.plan(suite, info, bench.identity, bench.draws.content, seeds=(1,)):
        run, splits = bench.run(job.spec, info)
        fold = bench.fold(job.spec, train=False)
        assert [s.name for s in splits if s.shift != "named"] == [split.name for _, split in fold.tests]
        assert [s.name for s in splits if s.shift == "named"] == list(suite.named)
        assert all(0 <= score.low <= score.value <= score.high <= 1 for score in run.scores)
        assert set(run.env["splits"]) == set(fold.sources)
        assert all(one["state"] == "complete" for one in fold.sources.values())
        table = per_image.write(tmp_path, job.spec, splits)
        named = [one.images for one in per_image.read(table) if one.shift != "named"]
        assert named == [split.images for _, split in fold.tests]  # each row says which image it is
        check(results.read(results.write(tmp_path, run)), table)  # the table alone gives the same numbers
    board = tables.leaderboard(tmp_path, suite, (1,))
    row = board.table.iloc[0]
    assert row["ranked"]
    assert not math.isnan(row["accuracy/id"])
    if suite.protocol.id_filter == "all":  # few drawn pictures are recognised, and the others are no positives there
        assert all(not math.isnan(row[f"auroc/{split.name}"]) for split in suite.semantic)
    terminal.to_text(board, 80)
    committed.write_leaderboards(board)
    if name == "imagenet-robust":  # a page without any open set
        page.write(tmp_path, [suite], tmp_path / "site")


def test_unknown_classes_are_met_in_splits_that_a_suite_names(manifests, data):
    """Every image of V2, R and C is of a known class, and covariate shift, or of an unknown one, and an open set."""
    fold = draw.fold(manifest.suite("imagenet-fs-x", manifests), "all", 1, roots=Roots(data, manifests), train=False)
    tested = {split.name: set(split.images) for _, split in fold.tests}
    for name, whole in (("V2", "imagenet-v2"), ("R", "imagenet-r"), ("C", "imagenet-c-openood")):
        known, unknown = tested[name], tested[f"unknown, {name}"]
        assert known and unknown and not known & unknown
        assert len(known | unknown) == registry.split(whole, manifests)[1].images


def test_an_incomplete_split_is_refused_with_the_next_command(manifests, tmp_path, cache):
    root = tmp_path / "data"
    for name in ("pacs", "dtd", "food101", "caltech101"):
        family = registry.family(name, manifests)
        for layout in family.layouts[:1]:
            build(root, family, layout)
    next(root.rglob("photo/dog/*")).unlink()
    suite = manifest.suite("domainbed-pacs", manifests)
    bench = Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"), roots=Roots(root, manifests))
    info = plugins.describe("zero-shot", cache)
    job = planning.plan(suite, info, bench.identity, bench.draws.content, seeds=(1,))[0]
    with pytest.raises(DataError, match=r"pacs/photo is incomplete: .*croftbench data verify pacs/photo"):
        bench.run(job.spec, info)
    bench.draws.allow_incomplete = True
    run, _ = bench.run(job.spec, info)
    assert run.env["splits"]["pacs/photo"]["state"] == "incomplete"


def roles(fold):
    return [("train", fold.train), ("val", fold.val), ("id", fold.id)] + [
        (split.name, split) for split in (*fold.covariate, *fold.semantic)
    ]


def paths(split):
    return {split.pool.paths[row] for row in split.rows}


@pytest.mark.parametrize("name", [name for name in ON_DISK if not name.endswith("-official")])
def test_no_image_plays_two_roles(name, manifests, data):
    for fold in draw.folds(manifest.suite(name, manifests), 1, 2, roots=Roots(data, manifests)):
        found = [(role, paths(split)) for role, split in roles(fold)]
        for i, (one, a) in enumerate(found):
            assert a, one
            for other, b in found[i + 1 :]:
                assert not a & b, f"{fold.name}: {one} and {other} share images"
        assert set(fold.train.labels) == set(fold.id.labels) == set(range(len(fold.classnames)))
        assert max(Counter(fold.train.labels).values()) <= 2


def test_official_populations_are_those_of_the_published_code(manifests, data):
    (fold,) = draw.folds(manifest.suite("setup1-official", manifests), 1, 2, roots=Roots(data, manifests))
    assert paths(fold.val) == paths(fold.reference) <= paths(fold.id)
    assert len(fold.semantic[0]) == 5, "the pool's limit in all"
    for fold in draw.folds(manifest.suite("setup2-pacs-official", manifests), 1, 6, roots=Roots(data, manifests)):
        assert paths(fold.val) <= paths(fold.id)
        assert paths(fold.reference) == paths(fold.covariate[0]), "fewer than 500 a class"
        assert paths(fold.train) <= paths(fold.bank)
        assert not paths(fold.bank) & paths(fold.id)
        assert set(Counter(fold.train.domains).values()) == {2 * len(fold.classnames)}, "6 shots over 3 domains"


def test_images_and_shares_do_not_depend_on_what_else_is_there(manifests, data, tmp_path):
    """One dataset alone, in another layout: the same files train."""
    family = registry.family("pacs", manifests)
    suite = manifest.suite("domainbed-pacs", manifests)
    whole = draw.folds(suite, 1, 2, roots=Roots(data, manifests))
    build(tmp_path / "alone", family, next(one for one in family.layouts if one.kind == "folders"))
    alone = draw.folds(suite, 1, 2, roots=Roots(tmp_path / "alone", manifests))
    for a, b in zip(whole, alone, strict=True):
        assert [a.train.rows, a.id.rows, a.classnames] == [b.train.rows, b.id.rows, b.classnames]
        assert {k: v["held_out"] for k, v in a.sources.items() if "held_out" in v} == {
            k: v["held_out"] for k, v in b.sources.items() if "held_out" in v
        }


def one_run(bench, cache, method, fold, **settings):
    info = plugins.describe(method, cache)
    jobs = planning.plan(
        bench.suite, info, bench.identity, bench.draws.content, seeds=(1,), shots=2, views=2, overrides=settings
    )
    return bench.run(next(job.spec for job in jobs if job.spec.fold == fold), info)


@pytest.mark.parametrize("name", ON_DISK)
def test_every_method_runs_on_every_suite(name, manifests, data, cache):
    suite = manifest.suite(name, manifests)
    bench = Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"), roots=Roots(data, manifests))
    for method in (*plugins.BUILT_IN, "wise-ft+croft"):
        needs = plugins.describe(method, cache)
        if bench.identity.lacking(needs.image, needs.text):  # on an encoder that has it: test_execute_tower.py
            continue
        short = {name: 1 for name in needs.params if name.endswith("epochs")}
        run, splits = one_run(bench, cache, method, suite.folds[0].name, **short)
        assert {s.split for s in run.scores if s.metric == "accuracy"} >= {"id", *suite.folds[0].shifted()}, method
        assert len({split.name for split in splits}) == len(splits)


def test_new_classes_are_named_to_methods_whose_classifier_takes_names(manifests, data, cache):
    suite = manifest.suite("coop-base-to-new", manifests)
    bench = Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"), roots=Roots(data, manifests))
    accuracies = {}
    for method in ("coop", "croft", "task-res"):
        run, splits = one_run(bench, cache, method, "DTD", epochs=1)
        accuracies[method] = [s for s in run.scores if s.shift == "named"]
        assert len([s for s in splits if s.shift == "named"]) == len(accuracies[method])
        assert {s.split for s in run.scores if s.shift == "semantic"} == {"new"}
    for method in ("coop", "croft"):
        assert [(s.split, s.metric) for s in accuracies[method]] == [("new, named", "accuracy")]
    assert not accuracies["task-res"], "what it learnt belongs to its classes"


def test_a_few_shot_method_runs_by_the_official_protocol(manifests, data, cache):
    suite = manifest.suite("setup1-official", manifests)
    bench = Workbench(suite, encoders.EMBEDDED, cache, torch.device("cpu"), roots=Roots(data, manifests))
    run, splits = one_run(bench, cache, "croft", "all", epochs=20)  # until it recognises a picture: a positive
    positives = next(s for s in splits if s.shift == "reference")
    detection = [s for s in run.scores if s.reference == "positives"]
    usual = {"auroc", "fpr95", "fpr95_ood_positive", "aupr", "aupr_out", "ties"}
    assert {s.metric for s in detection} == usual | {"fpr95_percentile"}
    assert {s.n_id for s in detection} == {positives.correct.sum()}
    assert {s.n_ood for s in detection} == {5}
