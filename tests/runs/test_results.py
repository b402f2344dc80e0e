"""Runs on disk: round trip, write-once, and what damage and full folders look like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from croftbench import files as disk
from croftbench.errors import DataError
from croftbench.runs import per_image, results
from croftbench.runs.results import RunResult, Score
from croftbench.runs.spec import RunSpec

SPEC = RunSpec(
    suite="emoji-open",
    suite_digest="d" * 64,
    fold="all",
    method="croft",
    method_version=1,
    source="",
    params={"lambda2": 0.03, "variant": "official", "steps": 1, "gate": None},
    encoder="emoji-clip/croftbench",
    weights_digest="w" * 64,
    transform="resize64",
    shots=3,
    seed=1,
    views=30,
)
RESULT = RunResult(
    SPEC,
    (
        Score("line art", "covariate", "accuracy", 1 / 3, 0.1 + 0.2, 0.4, 247),
        Score("near", "semantic", "auroc", 0.1, 0.0, 1.0, 247, 371, "energy", "ID"),
    ),
    {"python": "3.11", "dirty": False, "device": "CPU – “quoted”"},
    {"train": 1.25},
    "2026-01-01T00:00:00Z",
    warnings=("12% of the energy scores tie.",),
)


def test_round_trip(tmp_path):
    path = results.write(tmp_path, RESULT)
    assert path == tmp_path / "runs" / "emoji-open" / "croft" / f"{SPEC.run_id}.json"
    assert results.read(path) == RESULT
    assert list(results.read_all(tmp_path)) == [RESULT]


def test_the_file_is_read_by_people_too(tmp_path):
    text = results.write(tmp_path, RESULT).read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "CPU – “quoted”" in text
    assert json.loads(text)["scores"][0]["value"] == 1 / 3


def test_a_run_is_written_once(tmp_path):
    path = results.write(tmp_path, RESULT)
    before = path.read_bytes()
    assert results.write(tmp_path, replace(RESULT, created="later", scores=())) == path
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change", [{"seed": 2}, {"fold": "flat"}, {"params": {"lambda2": 0.04}}, {"precision": "float16"}, {"shots": 1}]
)
def test_anything_asked_differently_is_another_run(change):
    assert replace(SPEC, **change).run_id != SPEC.run_id


def test_the_order_of_parameters_is_not_part_of_a_run():
    assert replace(SPEC, params=dict(reversed(SPEC.params.items()))).run_id == SPEC.run_id


def test_read_all_chooses_a_suite_and_keeps_the_order_of_paths(tmp_path):
    specs = [replace(SPEC, suite=suite, seed=seed) for suite in ("b", "a") for seed in (1, 2, 3)]
    for spec in specs:
        results.write(tmp_path, replace(RESULT, spec=spec))
    assert [run.spec.suite for run in results.read_all(tmp_path)] == ["a"] * 3 + ["b"] * 3
    chosen = [run.spec.run_id for run in results.read_all(tmp_path, "b")]
    assert chosen == sorted(spec.run_id for spec in specs if spec.suite == "b")
    assert list(results.read_all(tmp_path / "nowhere")) == []


def resealed(text):
    """As somebody would write it who means to deceive."""
    return disk.sealed(text[: text.rindex(',\n "digest"')] + "\n}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "is not readable"),
        (lambda text: "", "is not readable"),
        (lambda text: "[]", "is not readable"),
        (lambda text: text.replace('"seed": 1', '"seed": 2'), "its digest is another"),
        (lambda text: text.replace('"lambda2": 0.03', '"lambda2": 0.3'), "its digest is another"),
        (lambda text: resealed(text.replace('"seed": 1', '"seed": 2')), "was changed: its content is run"),
        (lambda text: text.replace('"scores"', '"stores"'), "is not readable"),
        (lambda text: text.replace('"n_ood"', '"n_out"'), "is not readable"),
        (lambda text: text.replace('"schema": 3', '"schema": 99'), "has schema 99"),
    ],
)
def test_damaged_files_say_so(tmp_path, damage, message):
    path = results.write(tmp_path, RESULT)
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        results.read(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"value": 0.1', '"value": 7.5', r"scores\.1\.value: .*less than or equal to 1"),
        ('"value": 0.1', '"value": true', r"scores\.1\.value: .*valid number"),
        ('"value": 0.1', '"value": "0.1"', r"scores\.1\.value: .*valid number"),
        ('"value": 0.1', '"value": null', r"scores\.1\.value: .*valid number"),
        ('"value": 0.1', '"value": Infinity', "is not readable"),
        ('"value": 0.1', '"value": NaN', "is not readable"),
        ('"value": 0.1', '"value": -0.1', r"scores\.1\.value: .*greater than or equal to 0"),
        ('"value": 0.1,', "", r"scores\.1\.value: Field required"),
        ('"high": 1.0', '"high": 1.5', r"scores\.1\.high"),
        ('"n_id": 247', '"n_id": 2.5', r"scores\.0\.n_id"),
        ('"n_id": 247', '"n_id": -1', r"scores\.0\.n_id"),
        ('"seed": 1', '"seed": "1"', r"spec\.seed"),
        ('"train": 1.25', '"train": null', r"timings\.train"),
        ('"timings": {"train": 1.25}', '"timings": null', "timings: Input should be an object"),
        ('"env": {', '"env": null, "environment": {', "env: Input should be an object"),
        ('"created"', '"made"', "it has no created"),
        ('"warnings"', '"cautions"', "it has no warnings"),
        ('"schema": 3', '"schema": 3.0', "schema: .*valid integer"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name_even_with_a_fitting_digest(tmp_path, old, new, where):
    path = results.write(tmp_path, RESULT)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(resealed(text.replace(old, new, 1)), encoding="utf-8")
    with pytest.raises(DataError, match=where) as caught:
        results.read(path)
    assert str(path) in caught.value.message
    assert caught.value.hint.endswith("croftbench run --suite emoji-open --method croft")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value": 0.1', '"value": 0.99'),
        ('"low": 0.0', '"low": 0.05'),
        ('"dirty": false', '"dirty": true'),
        ("ties", "t1es"),
    ],
)
def test_a_number_that_was_changed_is_an_error(tmp_path, old, new):
    path = results.write(tmp_path, replace(RESULT, warnings=("ties",)))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match="it is not what was written: its digest is another"):
        results.read(path)


def test_line_ends_of_another_system_are_no_change(tmp_path):
    path = results.write(tmp_path, RESULT)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert results.read(path) == RESULT


def test_a_run_holds_the_digest_of_its_table(made, tmp_path):
    run = made(tmp_path, "croft", 1)
    table = per_image.path_of(tmp_path, run.spec)
    assert run.table == disk.file_digest(table)
    assert per_image.read(table, run.table)
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 8
    table.write_bytes(content)
    with pytest.raises(DataError, match="its digest is not the one in its run") as caught:
        per_image.read(table, run.table)
    assert str(table) in caught.value.message
    assert "croftbench run --suite emoji-open --method croft" in caught.value.hint


def test_image_names_that_were_met_are_not_unfolded_again_and_others_are_never_taken_for_them(tmp_path):
    """Tables of one draw share their column of images; a table of others has its own."""
    labels, scores = np.array([0, -1]), {"energy": np.array([1, 2], np.float32)}
    tables, named = [], {}
    for seed, images in ((1, ("a/1", "a/2")), (2, ("a/1", "a/2")), (3, ("a/1", "a/3")), (4, ())):
        one = per_image.SplitTable("ID", "id", labels, labels + seed, scores, images)
        path = per_image.write(tmp_path, replace(SPEC, seed=seed), [one])
        (back,) = per_image.read(path, named=named)
        assert back.images == images and back.predicted.tolist() == one.predicted.tolist()
        assert per_image.read(path)[0].images == images
        tables.append(back)
    assert len(named) == 2
    assert all(a is b for a, b in zip(tables[0].images, tables[1].images, strict=True))


def test_a_run_of_an_earlier_version_is_not_mixed_with_today_s(tmp_path):
    path = results.write(tmp_path, RESULT)
    path.write_text(path.read_text(encoding="utf-8").replace('"schema": 3', '"schema": 2'), encoding="utf-8")
    with pytest.raises(DataError, match="schema 2, this version reads 3") as caught:
        results.read(path)
    assert "run again" in caught.value.hint


def test_nan_is_refused_and_leaves_nothing(tmp_path):
    nan = replace(RESULT, scores=(Score("near", "semantic", "auroc", float("nan"), 0, 1, 1),))
    with pytest.raises(ValueError, match="JSON compliant"):
        results.write(tmp_path, nan)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    """As on a read-only folder; a plain file in the way stops even root."""
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .*--results"):
        results.write(tmp_path, RESULT)
    assert files(tmp_path) == ["runs"]


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disk.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        results.write(tmp_path, RESULT)
    assert files(tmp_path) == []


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["../escaped", "a/b", ".hidden", "", "line\nbreak"])
def test_a_name_never_leads_out_of_the_folder(tmp_path, name):
    with pytest.raises(DataError, match="cannot name a folder"):
        results.write(tmp_path / "results", replace(RESULT, spec=replace(SPEC, method=name)))
    assert list(tmp_path.iterdir()) == []
