"""Runs of methods that see pixels, with a tiny random encoder: what they get, what is kept, and who is left out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

import croftbench
from croftbench import encoders, plugins
from croftbench.encoders.stand_in import stand_in
from croftbench.errors import UsageError
from croftbench.method import Needs
from croftbench.runs import outputs, planning
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


def test_a_record_of_before_encoders_said_what_they_lack_is_made_again(tmp_path):
    encoders.load(encoders.EMBEDDED, cache=tmp_path)
    (path,) = (tmp_path / "encoders").glob("emoji-clip*.json")
    from croftbench.files import recall, remember

    fields = recall(path)
    remember(path, {name: value for name, value in fields.items() if name != "lacks"})
    assert encoders.identity(encoders.EMBEDDED, tmp_path) is None
    assert encoders.load(encoders.EMBEDDED, cache=tmp_path).identity.lacks
    assert encoders.identity(encoders.EMBEDDED, tmp_path).lacking("tower", "embeddings")


@pytest.mark.parametrize("name", ["maple", "prolip"])
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
    assert Needs(image="tower").image == "tower"
