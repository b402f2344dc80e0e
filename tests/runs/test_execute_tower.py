"""Runs of methods that see pixels, with a tiny random encoder: what they get, what is kept, and who is left out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import croftbench
from croftbench import encoders, plugins
from croftbench.encoders.batches import UNPROJECTED
from croftbench.encoders.stand_in import stand_in
from croftbench.errors import CroftbenchError, UsageError
from croftbench.method import Needs
from croftbench.runs import outputs, planning, space
from croftbench.runs.execute import Workbench
from croftbench.runs.isolation import Limits
from croftbench.studies import contract

NEW = {"clip-lora": {"steps": 1, "batch": 4}, "maple": {"epochs": 1}, "prompt-src": {"epochs": 1}}


@pytest.fixture
def bench(cache):
    return Workbench(contract.small(), stand_in(cache), cache, torch.device("cpu"))


def job(bench, cache, name, **settings):
    info = plugins.describe(name, cache)
    (one,) = planning.plan(bench.suite, info, bench.identity, bench.draws.content, overrides=settings)
    return replace(one.spec, suite="contract"), info


def test_pixels_are_the_cached_views_themselves(bench, cache):
    """What the frozen encoder makes of the pixels of a view is that view's cached feature; validation and tests too."""
    spec, info = job(bench, cache, "maple")
    fold = bench.fold(spec)
    task = bench.task(fold, spec, info)
    rows = torch.tensor([2, 0, 5])
    for view in range(2):
        pixels = task.train.batch(view, rows)
        assert pixels.shape == (3, 3, 64, 64)
        seen = task.towers.image.encode(pixels)
        torch.testing.assert_close(seen, task.train.views[view][rows], rtol=1e-4, atol=1e-5)
    assert not torch.equal(task.train.batch(0, rows), task.train.batch(1, rows))
    for shift, split in fold.tests[:2]:
        images = bench.test_images(shift, split, "tower")
        torch.testing.assert_close(
            task.towers.image.encode(images[1:4]), bench.features.test(split)[1:4], rtol=1e-4, atol=1e-5
        )


def test_places_before_the_projection_are_the_cached_ones(bench, cache):
    """What a task and a test split give, from one cache: places times the projection are those behind it, for training
    views, validation and tests, to half precision.
    """
    spec, info = job(bench, cache, "gallop")
    fold = bench.fold(spec)
    task = bench.task(fold, spec, info)
    behind = bench.task(fold, spec, replace(info, image="patches"))
    assert task.towers.unprojected and not behind.towers.unprojected
    rows = torch.tensor([2, 0, 5])
    pairs = [(task.train.batch(view, rows), behind.train.batch(view, rows)) for view in range(2)]
    shift, split = fold.tests[0]
    shown = [bench.test_images(shift, split, image) for image in ("unprojected-patches", "patches")]
    assert shown[0].shape == (len(split), 1 + 16, 64)
    pairs.append(tuple(one[1:4] for one in shown))
    for before, after in pairs:
        assert before.shape == (3, 1 + 16, 64)
        torch.testing.assert_close(task.towers.projection(before), after, rtol=1e-2, atol=2e-3)
    assert torch.equal(task.train.batch(1, rows)[:, 0], task.train.views[1][rows])
    assert torch.equal(shown[0][1:4][:, 0], bench.features.test(split, UNPROJECTED)[1:4])
    assert not torch.equal(pairs[0][0], pairs[1][0])


def test_unprojected_places_of_every_role_of_a_split(bench, cache):
    """A suite whose unknown images are seen as training images are."""
    protocol = replace(bench.suite.protocol, ood_transform="train")
    bench.suite = replace(bench.suite, protocol=protocol)
    spec, info = job(bench, cache, "gallop")
    split = next(split for shift, split in bench.fold(spec).tests if shift == "semantic")
    assert bench.test_images("semantic", split, info.image)[:2].shape == (2, 1 + 16, 64)


def test_where_places_are_given_follows_the_encoder(bench, cache):
    """Before the projection of a transformer, else as `otherwise` says; without it that is the usual refusal."""
    info = plugins.describe("gallop", cache)
    assert (info.image, info.otherwise) == ("unprojected-patches", "patches")
    shipped = encoders.load(encoders.EMBEDDED, cache=cache).identity
    planned = [planning.plan(bench.suite, info, one, bench.draws.content)[0].info for one in (bench.identity, shipped)]
    assert [one.image for one in planned] == ["unprojected-patches", "patches"]
    assert [one.needs["image"] for one in planned] == ["unprojected-patches", "patches"]
    with pytest.raises(UsageError, match=r"gallop cannot run with .*: its image tower is a TimmModel") as refused:
        planning.plan(bench.suite, replace(info, otherwise=""), shipped, bench.draws.content)
    assert "an image transformer with a projection and a text tower" in refused.value.hint
    with pytest.raises(CroftbenchError, match="no places before a projection: its image tower is a TimmModel"):
        encoders.load(encoders.EMBEDDED).encode_unprojected_patches(torch.zeros(1, 3, 104, 104))


def test_a_plan_counts_the_features_that_a_run_with_unprojected_places_writes(bench, cache, tmp_path, monkeypatch):
    """Disk: all that is written, at most three times as much; nothing once it is there. Of these, images are held."""
    monkeypatch.setattr(space, "_places", lambda encoder, size: 16)
    bench = replace(bench, encoder_id=stand_in(tmp_path), cache=tmp_path)
    info = plugins.describe("gallop", tmp_path)
    (planned,) = planning.plan(bench.suite, info, bench.identity, bench.draws.content)
    told = space.of(bench, [planned])
    bench.encode(planned.spec, planned.info)
    files = (path.stat().st_size for path in (tmp_path / "features").glob("*.npy"))
    assert 1 < told.features / sum(files) < 4
    images = told.images / 2  # each is encoded with its places and without
    assert told.memory.features <= images * 64 * 4 * space.WIDER
    again = space.of(bench, [planned])
    assert (again.images, again.features) == (0, 0)


@pytest.mark.parametrize("name", ["gallop", "prolip"])
def test_promises_hold_before_the_projection_of_a_transformer(bench, cache, name):
    trial = contract.Trial(bench, plugins.describe(name, cache))
    assert "unprojected" in trial.info.image
    assert [(one.name, one.broken) for one in contract.check(trial)] == [(name, "") for name in contract.PROMISES]


def test_needs_that_do_not_exist_are_told(bench, cache):
    class Mine:
        needs = Needs(image="unprojected-patches", otherwise="tokens")

    trial = contract.Trial(bench, replace(plugins.describe("gallop", cache), cls=Mine))
    with pytest.raises(CroftbenchError, match=r"it needs .*otherwise='tokens'") as told:
        contract.is_described(trial)
    assert "'unprojected-patches'" in told.value.hint


@pytest.mark.parametrize("name", sorted(NEW))
def test_a_run_predicts_with_its_own_tower_and_keeps_its_outputs(name, bench, cache):
    spec, info = job(bench, cache, name, **NEW[name], lr=0.05)
    result, tables = bench.run(spec, info)
    kept = outputs.find(cache, spec.run_id)
    plain = job(bench, cache, "zero-shot")
    bench.run(*plain)
    zero_shot = outputs.find(cache, plain[0].run_id)
    assert kept.images("0") == len(tables[0].labels) == zero_shot.images("0")
    assert kept.images(outputs.TRAIN) > 0
    ours, frozen = (next(one.read("0", torch.device("cpu"))).features for one in (kept, zero_shot))
    assert not torch.allclose(ours, frozen, atol=1e-3)
    again, _ = bench.run(spec, info)
    assert again.scores == result.scores


def test_in_a_process_of_its_own_it_gives_the_same_numbers(bench, cache):
    spec, info = job(bench, cache, "maple", epochs=1)
    here, _ = bench.run(spec, info)
    alone = replace(bench, limits=Limits(isolate=True))
    assert alone.run(spec, info)[0].scores == here.scores


def test_all_leaves_out_what_the_encoder_lacks_and_says_so_and_naming_it_is_an_error(cache, tmp_path):
    said = []
    sink = SimpleNamespace(
        note=said.append, stage=lambda *a: None, advance=lambda *a: None, complain=lambda *a: said.append(a),
        run=lambda *a, **k: None,
    )  # fmt: skip
    from croftbench.api import plans
    from croftbench.locations import Folders

    folders = Folders.of(tmp_path, cache)
    options = encoders.EMBEDDED, "", (1,), None, None, None, ()
    plan = plans.plan("all", contract.small(), folders, sink, *options)
    there = {job.spec.method for job in plan.jobs}
    assert there == set(plugins.BUILT_IN) - set(NEW)
    (note,) = [one for one in said if "left out" in str(one)]
    assert all(name in note for name in NEW) and "its image tower is a TimmModel" in note
    for asked in ("maple", "all,maple"):
        with pytest.raises(UsageError, match="maple cannot run with emoji-clip/croftbench-2: its image tower is a Ti"):
            plans.plan(asked, contract.small(), folders, sink, *options)


@pytest.mark.parametrize("field", ["lacks", "asked"])
def test_a_record_of_before_encoders_said_what_they_lack_is_made_again(tmp_path, field):
    encoders.load(encoders.EMBEDDED, cache=tmp_path)
    (path,) = (tmp_path / "encoders").glob("emoji-clip*.json")
    from croftbench.files import recall, remember

    fields = recall(path)
    remember(path, {name: value for name, value in fields.items() if name != field})
    assert encoders.identity(encoders.EMBEDDED, tmp_path) is None
    assert encoders.load(encoders.EMBEDDED, cache=tmp_path).identity.lacks
    assert encoders.identity(encoders.EMBEDDED, tmp_path).lacking("tower", "embeddings")


@pytest.mark.parametrize("name", ["maple", "prolip", "gallop"])
def test_wise_ft_starts_at_zero_shot_whatever_images_are_given_as(name, bench, cache):
    short = {"epochs": 1, "wise_alpha": 0.0}
    spec, info = job(bench, cache, f"wise-ft+{name}", **short)
    ends, _ = bench.run(spec, info)
    plain, _ = bench.run(*job(bench, cache, "zero-shot"))
    ours, theirs = (
        {(s.split, s.scorer): s.value for s in run.scores if s.metric == "accuracy"} for run in (ends, plain)
    )
    assert ours == theirs


def test_needs_are_listed():
    rows = {row["name"]: row["needs"] for row in croftbench.methods()}
    assert rows["maple"] == "text tower, image transformer" and rows["prolip"] == "before the projection"
    assert rows["gallop"] == "text tower, patches before the projection, else patches"
    assert Needs(image="tower").image == "tower"
