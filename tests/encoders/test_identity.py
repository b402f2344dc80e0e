"""What makes an encoder is in a run's identity: weights, architecture, vocabulary and logit scale."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from croftbench import encoders, plugins
from croftbench.encoders.identity import Identity
from croftbench.report.rows import grouped
from croftbench.runs import planning, results
from croftbench.runs.results import RunResult
from croftbench.suites import manifest
from tests.encoders.conftest import CONFIG

COMMITTED = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def shipped(cache: Path) -> Identity:
    return encoders.load(encoders.EMBEDDED, cache=cache).identity


def planned(identity: Identity, cache: Path, suite: str = "emoji-open", method: str = "zero-shot", data: str = ""):
    info = plugins.describe(method, cache)
    return planning.plan(manifest.suite(suite), info, identity, lambda fold, train: data)[0].spec


def in_folder(folder: Path, state: dict[str, torch.Tensor], **config: object) -> Identity:
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG | config}))
    save_file(state, folder / "open_clip_model.safetensors")
    return encoders.load(f"local-dir:{folder}", cache=folder.parent).identity


@pytest.mark.parametrize("suite", ["emoji-open", "emoji-kinds"])
def test_the_committed_runs_are_those_that_are_planned(suite: str, shipped: Identity, cache: Path) -> None:
    assert results.path_of(COMMITTED, planned(shipped, cache, suite)).is_file()


def test_another_logit_scale_is_another_run(shipped: Identity, cache: Path) -> None:
    changed = replace(shipped, logit_scale=1.0)
    assert changed.model != ""
    assert planned(changed, cache).run_id != planned(shipped, cache).run_id
    nearly = replace(shipped, logit_scale=shipped.logit_scale + 1e-5)
    assert len({one.model for one in (shipped, changed, nearly)}) == 3


def test_the_same_weights_in_another_architecture_are_another_run_and_row(
    state: dict[str, torch.Tensor], tmp_path: Path, cache: Path
) -> None:
    plain = in_folder(tmp_path / "mine", state)
    quick = in_folder(tmp_path / "mine", state, quick_gelu=True)
    assert (plain.id, plain.weights_digest, plain.transform) == (quick.id, quick.weights_digest, quick.transform)
    specs = [planned(one, cache) for one in (plain, quick)]
    assert specs[0].run_id != specs[1].run_id
    rows = grouped(RunResult(spec, (), {}, {}, "") for spec in specs)
    assert len({row.encoder for row in rows}) == 2


def test_a_folders_vocabulary_is_part_of_it(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    without = in_folder(tmp_path / "mine", state)
    (tmp_path / "mine/bpe.txt.gz").write_bytes(gzip.compress(b"#version: 0.2\nd o\ndo g</w>"))
    assert encoders.identity(without.id, tmp_path) is None, "the record no longer holds"
    own = in_folder(tmp_path / "mine", state)
    assert own.model != without.model
    assert own.config_digest != without.config_digest, "texts are encoded again"
    assert encoders.identity(own.id, tmp_path) == own


def test_rules_for_files_on_a_disk_are_in_the_transform_of_runs_on_them(shipped: Identity, cache: Path) -> None:
    assert planned(shipped, cache).transform == shipped.transform
    on_disk = planned(shipped, cache, data="abc").transform
    assert on_disk.startswith(shipped.transform)
    for choice in ("alpha=white", "depth=scaled", "exif=ignored", "icc=ignored", "frame=first"):
        assert choice in on_disk
