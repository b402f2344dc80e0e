"""Unknown images under a known class's name: counted before a run from the manifests, and in it from its images."""

import re
from dataclasses import asdict, replace

import pytest

from croftbench import draw
from croftbench.data.roots import Roots
from croftbench.draw.namesakes import published, told
from croftbench.errors import ManifestError
from croftbench.report import populations
from croftbench.runs.results import RunResult
from croftbench.suites import manifest, registry
from tests.layouts import build
from tests.layouts.runnable import runnable


def counts(name, seed, manifests=None):
    suite = manifest.suite(name, manifests)
    return published(suite, suite.folds[0], seed, manifests)


def test_setup_one_has_50_to_100_of_them_at_its_seeds():
    assert [counts("setup1", seed) for seed in (1, 2, 3)] == [
        {"unknown": {"missile": 50, "sunglasses": 50}},
        {"unknown": {"missile": 50}},
        {"unknown": {"sunglasses": 50}},
    ]


def test_its_variant_has_none_at_any_seed_and_is_the_same_suite_otherwise():
    assert any(counts("setup1", seed) for seed in range(4, 20))
    assert not any(counts("setup1-no-namesakes", seed) for seed in range(40))
    plain, variant = (manifest.suite(name) for name in ("setup1", "setup1-no-namesakes"))
    same = {"name": plain.name, "title": plain.title, "notes": plain.notes}
    assert asdict(replace(variant, **same, semantic=plain.semantic)) == asdict(plain)
    assert replace(variant.semantic[0], exclude=()) == plain.semantic[0]


def test_matched_by_name_they_are_known():
    assert not counts("setup1-official", 1)


def test_lines_give_the_range_over_folds_and_seeds():
    lines = told([{"unknown": {"missile": 50, "sunglasses": 50}}, {}, {"unknown": {"missile": 50}}])
    assert lines == [
        "0 to 100 images of unknown are of an unknown class with a known class's name (missile, sunglasses)"
    ]
    assert told([{}, {}]) == []


@pytest.fixture
def alike(tmp_path):
    """Manifests whose ImageNet calls every class "crane", of which setup1 knows half."""
    folder = runnable(tmp_path / "manifests", classes=4, images=3)
    path = folder / "lists/imagenet.tsv"
    path.write_text(re.sub(r"^(n\d+)\t[^\t\n]+", r"\1\tcrane", path.read_text(), flags=re.M))
    registry.family.cache_clear()  # read for `runnable` already
    return folder


def test_a_fold_counts_its_images_and_a_table_says_so(alike, tmp_path):
    suite = manifest.suite("setup1", alike)
    for split in sorted(suite.used(suite.folds[0])):
        build(tmp_path / "data", registry.family(split.partition("/")[0], alike), _layout(split, alike))
    (fold,) = draw.folds(suite, 1, 1, roots=Roots(tmp_path / "data", alike))
    assert fold.namesakes == {"unknown": {"crane": len(fold.semantic[0])}}
    assert fold.namesakes == counts("setup1", 1, alike)
    run = RunResult(None, (), {"namesakes": fold.namesakes}, {}, "")  # as a run's record has it
    assert populations.namesakes([run]) == told([fold.namesakes])


def _layout(split, manifests):
    family, part = registry.split(split, manifests)
    return next(layout for layout in family.layouts if layout.has(part.name))


def test_a_class_that_is_left_out_must_be_one(alike):
    path = alike / "suites/setup1.toml"
    path.write_text(path.read_text() + 'exclude = ["n99999999"]\n')
    with pytest.raises(ManifestError, match=r"setup1.toml:\d+: 'n99999999' is no class of the fold's"):
        manifest.suite("setup1", alike)
