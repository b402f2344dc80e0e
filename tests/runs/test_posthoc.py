"""Post-hoc records: union, staleness, damage."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from dataclasses import replace

import pytest

from croftbench import scorers
from croftbench.errors import DataError
from croftbench.files import packed, unpacked
from croftbench.runs import posthoc
from croftbench.runs.posthoc import Posthoc, Scored
from croftbench.runs.results import Score
from croftbench.runs.spec import RunSpec
from croftbench.scorers import catalogue

SPEC = RunSpec(
    "emoji-open", "d" * 64, "all", "croft", 1, "", {"lambda2": 0.1}, "clip/a", "w" * 64, "t", 3, 1, 4,
)  # fmt: skip
ROW = Score("near", "semantic", "auroc", 0.5, 0.4, 0.6, 10, 20, "knn", "id")


def scored(label, **more):
    asked = scorers.parse(label)
    return Scored(asked.label, asked.name, asked.params, scores=(replace(ROW, scorer=label),), **more)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    assert posthoc.read(tmp_path, SPEC) == Posthoc(SPEC)
    record = Posthoc(SPEC).with_more([scored("knn:k=1"), scored("vim", not_applicable="why")], {"device": "cpu"})
    path = posthoc.write(tmp_path, record)
    assert path == tmp_path / "posthoc/emoji-open/croft" / f"{SPEC.run_id}.json.gz"
    assert posthoc.read(tmp_path, SPEC) == record


def test_more_scores_join_and_newer_ones_replace():
    first = Posthoc(SPEC).with_more([scored("knn"), scored("vim")], {"created": "a"})
    both = first.with_more([scored("vim"), scored("nci")], {"created": "b"})
    assert [(one.label, one.environment) for one in both.scorers] == [("knn", 0), ("vim", 1), ("nci", 1)]
    again = both.with_more([scored("knn")], {"created": "c"})
    assert [(one.label, again.environments[one.environment]["created"]) for one in again.scorers] == [
        ("vim", "b"), ("nci", "b"), ("knn", "c"),
    ]  # fmt: skip
    assert [world["created"] for world in again.environments] == ["b", "c"]


def test_what_is_missing(tmp_path, monkeypatch):
    words = tmp_path / "w.txt"
    words.write_text("tree")
    neglabel = f"neglabel:words={words},share=1,groups=1"
    files, version = scorers.parse(neglabel).file_digests(), scorers.SCORERS["neglabel"].version
    record = Posthoc(SPEC).with_more(
        [scored("knn"), scored("vim", not_applicable="why"), scored(neglabel, files=files, version=version)], {}
    )

    def missing(names, among=()):
        return [one.label for one in record.missing(scorers.split(names), among)]

    assert missing("knn,knn:k=50,vim,nci") == ["nci"]
    assert missing("energy,nci", among=["energy"]) == ["nci"]
    assert missing(neglabel) == []
    words.write_text("sky")
    assert missing(neglabel) == [neglabel]
    newer = {**scorers.SCORERS, "knn": replace(scorers.SCORERS["knn"], version=2)}
    monkeypatch.setattr(catalogue, "SCORERS", newer)
    assert missing("knn") == ["knn"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data | {"schema": 9},
        lambda data: data | {"environments": []},
        lambda data: {k: v for k, v in data.items() if k != "spec"},
        lambda data: data | {"spec": data["spec"] | {"seed": 2}},
        lambda data: data | {"scorers": [{"label": "x"}]},
    ],
)
def test_a_damaged_record_is_one_clear_error(tmp_path, damage):
    path = posthoc.write(tmp_path, Posthoc(SPEC).with_more([scored("knn")], {}))
    path.write_bytes(packed(json.dumps(damage(json.loads(unpacked(path.read_bytes()))))))
    with pytest.raises(DataError, match=path.name):
        posthoc.read(tmp_path, SPEC)


@pytest.mark.parametrize(
    "change",
    [
        lambda packed: packed[:-9],
        lambda packed: packed + b"more",
        lambda packed: packed[:40] + bytes([packed[40] ^ 4]) + packed[41:],
        lambda packed: b"{}",
        lambda packed: gzip.compress(bytes(2**28)),
    ],
    ids=["cut", "longer", "a flipped bit", "no gzip", "a bomb"],
)
def test_a_damaged_pack_is_one_clear_error_in_bounded_memory(tmp_path, change):
    path = posthoc.write(tmp_path, Posthoc(SPEC).with_more([scored("knn")], {}))
    path.write_bytes(change(path.read_bytes()))
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"{path.name} is not readable"):
        posthoc.read(tmp_path, SPEC)
    assert tracemalloc.get_traced_memory()[1] < 2**27 + 2**20
    tracemalloc.stop()


def test_a_record_is_the_same_bytes_whenever_it_is_written(tmp_path):
    record = Posthoc(SPEC).with_more([scored("knn")], {})
    first = posthoc.write(tmp_path, record).read_bytes()
    assert posthoc.write(tmp_path / "again", record).read_bytes() == first
