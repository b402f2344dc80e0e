"""Kept outputs: what was written comes back, appears complete or not at all, and damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from croftbench.errors import DamagedError
from croftbench.method import Outputs
from croftbench.runs import outputs

CPU = torch.device("cpu")
SCALE, OTHER = 30, 20.0
"""Of the logits here, and one that does not give them, so that they are written."""


def chunks(n, classes=True, own=("gl_mcm",), seed=0):
    random = torch.Generator().manual_seed(seed)
    w = torch.randn(3, 4, generator=torch.Generator().manual_seed(9))
    for size in (n - n // 2, n // 2):
        z = torch.randn(size, 4, generator=random)
        yield Outputs(SCALE * z @ w.T, z, w if classes else None, {name: z.sum(1) for name in own})


def joined(parts):
    parts = list(parts)
    return [torch.cat([getattr(part, name) for part in parts]) for name in ("logits", "features")]


def keep(cache, run_id="abc", scale=OTHER, **parts):
    with outputs.keeping(cache, run_id, scale) as writer:
        for name, n in parts.items():
            for _ in writer.through(name.removeprefix("_"), n, chunks(n)):
                pass


def test_what_is_kept_is_what_passed_through(tmp_path):
    assert outputs.find(tmp_path, "abc") is None
    with outputs.keeping(tmp_path, "abc", OTHER) as writer:
        seen = joined(writer.through("0", 11, chunks(11)))
        joined(writer.through("train", 6, chunks(6, seed=1)))
        assert not outputs.kept(tmp_path, "abc")
    assert outputs.kept(tmp_path, "abc")
    kept = outputs.find(tmp_path, "abc")
    assert (kept.images("0"), kept.images("train"), kept.images("5")) == (11, 6, 0)
    assert kept.own == ("gl_mcm",)
    found = list(kept.read("0", CPU, block=4))
    assert [len(chunk.logits) for chunk in found] == [4, 4, 3]
    assert all(map(torch.equal, joined(found), seen))
    assert torch.equal(found[0].classes, next(chunks(11)).classes)
    assert torch.equal(found[2].scores["gl_mcm"], seen[1].sum(1)[8:])
    assert len(list((tmp_path / "outputs/abc").glob("*classes*"))) == 1, "the same for both parts"
    assert {str(np.load(file).dtype) for file in (tmp_path / "outputs/abc").glob("*.npy")} == {"float32"}


def test_logits_that_class_features_give_are_computed_again_to_the_last_bit(tmp_path):
    keep(tmp_path, scale=SCALE, _0=11, train=6)
    kept = outputs.find(tmp_path, "abc")
    assert not list(kept.folder.glob("*logits*"))
    assert all(map(torch.equal, joined(kept.read("0", CPU)), joined(chunks(11))))
    assert [len(one.logits) for one in kept.read("0", CPU)] == [len(one.logits) for one in chunks(11)]
    few, whole = joined(kept.read("0", CPU, block=1)), joined(chunks(11))
    assert torch.allclose(few[0], whole[0], rtol=1e-5)


@pytest.mark.parametrize("otherwise", ["logits", "classes"])
def test_logits_are_written_from_the_first_image_on_that_has_others(tmp_path, otherwise):
    made = list(chunks(11))
    last = made[1]
    if otherwise == "logits":
        made[1] = Outputs(last.logits + 1, last.features, last.classes, last.scores)
    else:
        made[1] = Outputs(SCALE * last.features @ (2 * last.classes).T, last.features, 2 * last.classes, last.scores)
    images = sum(len(one.logits) for one in made)
    with outputs.keeping(tmp_path, "abc", SCALE) as writer:
        joined(writer.through("0", images, made))
    kept = outputs.find(tmp_path, "abc")
    assert len(np.load(kept.folder / "0-logits.npy", mmap_mode="r")) == images - len(made[0].logits)
    assert all(map(torch.equal, joined(kept.read("0", CPU)), joined(made)))
    assert [len(one.logits) for one in kept.read("0", CPU, block=4)] == [4, 2, 4, 1]


def test_methods_without_class_features_or_scores(tmp_path):
    with outputs.keeping(tmp_path, "abc", OTHER) as writer:
        joined(writer.through("0", 5, chunks(5, classes=False, own=())))
    kept = outputs.find(tmp_path, "abc")
    found, _ = kept.read("0", CPU)
    assert found.classes is None
    assert kept.own == ()
    assert found.scores == {}


def test_keeping_again_replaces_and_a_failure_leaves_nothing(tmp_path):
    keep(tmp_path, _0=5)
    keep(tmp_path, _0=7)
    assert outputs.find(tmp_path, "abc").images("0") == 7
    with pytest.raises(KeyboardInterrupt), outputs.keeping(tmp_path, "new", OTHER) as writer:
        next(writer.through("0", 5, chunks(5)))
        raise KeyboardInterrupt
    assert not outputs.kept(tmp_path, "new")
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["abc"]


def test_a_cache_that_cannot_be_written_ends_the_keeping_not_the_run(tmp_path):
    (tmp_path / "outputs").write_text("")
    with outputs.keeping(tmp_path, "abc", OTHER) as writer:
        assert len(joined(writer.through("0", 5, chunks(5)))[0]) == 5
    assert outputs.find(tmp_path, "abc") is None


@pytest.mark.parametrize("name", ["0-logits.npy", "0-score-0.npy", "train-classes.npy"])
def test_damage_is_noticed(tmp_path, name):
    keep(tmp_path, train=6, _0=5)
    path = tmp_path / "outputs/abc" / name
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DamagedError, match="damaged"):
        list(outputs.find(tmp_path, "abc").read("0", CPU))
    (tmp_path / "outputs/abc/meta.json").write_text("{")
    assert outputs.find(tmp_path, "abc") is None


@pytest.mark.parametrize("name", ["0-logits.npy", "0-features.npy", "0-score-0.npy", "0-classes.npy"])
def test_changed_outputs_are_never_handed_out(tmp_path, name):
    keep(tmp_path, _0=5)
    path = tmp_path / "outputs/abc" / name
    content = bytearray(path.read_bytes())
    content[140] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=name):
        list(outputs.find(tmp_path, "abc").read("0", CPU))


def test_two_that_keep_one_run_at_once_do_not_mix(tmp_path):
    """As two containers do, in which every process has the same number."""
    with outputs.keeping(tmp_path, "abc", OTHER) as one, outputs.keeping(tmp_path, "abc", OTHER) as two:
        for _ in zip(one.through("0", 11, chunks(11, seed=1)), two.through("0", 11, chunks(11, seed=2)), strict=True):
            pass
    found = joined(outputs.find(tmp_path, "abc").read("0", CPU))
    assert any(all(map(torch.equal, found, joined(chunks(11, seed=seed)))) for seed in (1, 2))
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["abc"]


def test_outputs_that_are_not_kept_are_said(tmp_path, caplog):
    (tmp_path / "outputs").write_text("in the way")
    keep(tmp_path, _0=5)
    (said,) = caplog.messages
    assert "outputs of run abc are not kept in" in said
