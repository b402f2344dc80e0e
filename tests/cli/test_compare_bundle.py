"""`compare`, `export` and `import` as they are typed: streams, exit codes, one-line errors."""

from __future__ import annotations

import json
import sys

import pytest

from croftbench import cli


@pytest.fixture
def croftbench(monkeypatch, capsys):
    """`croftbench(*words)`: (exit code, stdout, stderr)."""

    def type_it(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["croftbench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return type_it


@pytest.fixture
def runs(made, tmp_path):
    for seed in (1, 2):
        made(tmp_path / "results", "croft", seed, skill=0.6)
        made(tmp_path / "results", "zero-shot", seed)
    return tmp_path / "results"


def test_compare(croftbench, runs):
    code, shown, notes = croftbench("compare", "croft", "zero-shot", "--results", runs)
    assert code == 0
    assert "croft minus zero-shot, in points, on the same images" in shown
    assert "points more accurate under covariate shift than zero-shot" in shown
    assert "exact McNemar" in notes
    assert "seeds 1, 2" in notes
    assert croftbench("compare", "croft", "zero-shot", "--results", runs)[1] == shown


def test_compare_for_programs(croftbench, runs):
    code, text, notes = croftbench(
        "compare", "croft", "zero-shot", "--suite", "emoji-open", "--json", "--results", runs
    )
    found = json.loads(text)
    assert (code, notes) == (0, "")
    assert (found["a"], found["b"], len(found["tests"])) == ("croft", "zero-shot", 14)
    assert all(test["low"] <= test["effect"] <= test["high"] for test in found["tests"])


def test_compare_complains_in_one_line(croftbench, runs, tmp_path):
    for words, message in (
        (("croft", "zero-shoot", "--results", runs), "Did you mean 'zero-shot'?"),
        (("croft", "zero-shot", "--suite", "emoji-opn", "--results", runs), "Did you mean 'emoji-open'?"),
        (("croft", "zero-shot", "--results", tmp_path / "none"), "there is no results folder"),
    ):
        code, shown, complaint = croftbench("compare", *words)
        assert (code, shown, complaint.count("\n")) == (2, "", 1)
        assert message in complaint
    for table in runs.glob("runs/*/zero-shot/*.parquet"):
        table.unlink()
    code, _, complaint = croftbench("compare", "croft", "zero-shot", "--results", runs)
    assert (code, complaint.count("\n")) == (1, 1)
    assert "like 1 more has no per-image table. Delete" in complaint


def test_export_and_import(croftbench, runs, tmp_path):
    code, written, _ = croftbench("export", tmp_path / "runs.zip", "--method", "croft", "--results", runs)
    assert (code, written.strip()) == (0, str(tmp_path / "runs.zip"))
    code, added, notes = croftbench("import", tmp_path / "runs.zip", "--results", tmp_path / "theirs")
    assert (code, len(added.splitlines())) == (0, 2)
    assert "2 run(s) imported, every number computed again." in notes
    code, added, notes = croftbench("import", tmp_path / "runs.zip", "--results", tmp_path / "theirs")
    assert (code, added) == (0, "")
    assert "2 were there already" in notes


def test_export_and_import_complain(croftbench, runs, tmp_path):
    (tmp_path / "text.zip").write_text("not a zip")
    for words, status, message in (
        (("export", tmp_path / "x.zip", "--method", "crofd", "--results", runs), 2, "Did you mean 'croft'?"),
        (("export", tmp_path / "x.zip", "--suite", "emoji-opn", "--results", runs), 2, "Did you mean 'emoji-open'?"),
        (("export", tmp_path / "x.zip", "--results", tmp_path / "none"), 2, "there is no results folder"),
        (("export", tmp_path / "text.zip" / "x.zip", "--results", runs), 1, "cannot write"),
        (("import", tmp_path / "text.zip", "--results", runs), 1, "not a readable bundle"),
    ):
        code, shown, complaint = croftbench(*words)
        assert (code, shown, complaint.count("\n")) == (status, "", 1)
        assert message in complaint
    assert not (tmp_path / "x.zip").exists()
