"""A run with places: what a method gets, on a handful of glyphs, and that it is read a little at a time."""

from dataclasses import replace

import pytest
import torch

from croftbench import encoders, plugins
from croftbench.data.pool import Pool
from croftbench.data.roots import Roots
from croftbench.draw.splits import Fold, Split
from croftbench.errors import UsageError
from croftbench.runs.execute import Workbench
from croftbench.runs.spec import RunSpec
from croftbench.suites.manifest import suite
from croftbench.suites.registry import family

SUITE = suite("emoji-open")
NAMES = ("red apple", "octopus", "bus")


@pytest.fixture
def bench(cache):
    return Workbench(SUITE, encoders.EMBEDDED, cache, torch.device("cpu"))


@pytest.fixture
def fold():
    """Twenty-four glyphs in three made-up classes, two domains."""
    paths = tuple(row.path for row in Roots().rows("emoji"))
    pool = Pool("few", "emoji", paths[::350], family("emoji").content)
    rows = tuple(range(24))

    def split(name, chosen, known=True):
        labels = tuple(row % 3 if known else -1 for row in chosen)
        return Split(name, pool, chosen, labels, tuple(row % 2 for row in chosen))

    return Fold(
        "few", NAMES, ("ink", "paint"), split("train", rows[3:12]), split("val", rows[12:15]), split("id", rows[15:18]),
        (split("shaded", rows[18:21]),), (split("near", rows[21:], known=False),), SUITE.templates,
    )  # fmt: skip


def spec(info, **changed):
    identity = {"encoder": encoders.EMBEDDED, "weights_digest": "w", "transform": "t", "source": ""}
    asked = {"shots": 3, "seed": 1, "views": 2, "method": info.name, "method_version": info.version}
    return RunSpec(
        suite=SUITE.name, suite_digest=SUITE.digest, fold="few", params=info.resolve(changed), **identity, **asked
    )


def test_row_zero_is_the_feature_itself(bench, fold):
    for split in (fold.id, fold.semantic[0]):
        places = bench.features.images(split, "patches")
        assert places.shape == (3, 17, 256)
        assert torch.equal(places[:][:, 0], bench.features.test(split))


def test_views_out_of_those_of_all_candidates_are_the_images_own(bench, fold, cache):
    info = plugins.describe("locoop", cache)
    rows = (20, *reversed(range(12)))
    candidates = Split("train", fold.train.pool, rows, (-1,) * len(rows), (0,) * len(rows))
    own, among = (bench.task(one, spec(info), info).train for one in (fold, replace(fold, candidates=candidates)))
    assert torch.equal(own.views, among.views)
    assert torch.equal(own.read(1, torch.arange(9)), among.read(1, torch.arange(9)))


def test_views_are_shared_between_methods_until_one_writes_on_them(bench, fold, cache):
    info = plugins.describe("croft", cache)
    first, second = (bench.task(fold, spec(info), info).train.views for _ in range(2))
    assert first.data_ptr() == second.data_ptr(), "no copy is made"
    before = first.clone()
    second[0, 2].mul_(2)
    third = bench.task(fold, spec(info), info).train.views
    assert torch.equal(third, before)


def test_a_task_with_places(bench, fold, cache):
    info = plugins.describe("locoop", cache)
    task = bench.task(fold, spec(info), info)
    plain = plugins.describe("coop", cache)
    without = bench.task(fold, spec(plain), plain)
    assert task.train.views.shape == (2, 9, 256)
    for examples, whole in ((task.train, without.train), (task.val, without.val)):
        assert torch.equal(examples.views, whole.views)
        rows = torch.tensor([2, 0, 2])
        for view in range(len(whole.views)):
            batch = examples.batch(view, rows)
            assert batch.shape == (3, 17, 256)
            assert torch.equal(batch[:, 0], whole.batch(view, rows))
    assert not torch.equal(task.train.batch(0, rows), task.train.batch(1, rows))
    assert task.domains == without.domains == ("ink", "paint")
    assert task.train.domains.tolist() == [row % 2 for row in range(3, 12)]
    fewer = replace(
        fold, train=replace(fold.train, **{k: getattr(fold.train, k)[::2] for k in ("rows", "labels", "domains")})
    )
    tuned = bench.task(fewer, spec(info), info, fold.train)
    assert torch.equal(tuned.train.batch(1, torch.arange(5)), task.train.batch(1, torch.arange(0, 9, 2)))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("gl-mcm", {}),
        ("locoop", {"epochs": 2, "batch": 4}),
        ("gallop", {"epochs": 2, "batch": 4}),
        ("local-prompt", {"epochs": 2, "batch": 4, "negatives": 3}),
    ],
)
def test_methods_with_places_run(bench, fold, cache, name, changed):
    info = plugins.describe(name, cache)
    result, tables = bench.run_on(fold, spec(info, **changed), info)
    assert {score.split for score in result.scores} == {"id", "shaded", "near"}
    assert all(len(table.labels) == 3 for table in tables)


def test_another_kind_of_image_is_refused(bench, fold, cache):
    info = replace(plugins.describe("coop", cache), image="pixels")
    with pytest.raises(UsageError, match="image='pixels', which does not exist"):
        bench.task(fold, spec(info), info)
