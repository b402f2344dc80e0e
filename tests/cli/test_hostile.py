"""Odd and hostile input on the command line: one line that names what is wrong, and no byte that a terminal obeys."""

import json
import os
from dataclasses import replace

import pandas as pd
import pytest

from croftbench import plain
from croftbench.api import doctoring
from croftbench.report.formats import data, latex, markdown
from croftbench.runs import results
from tests.conftest import FOOD

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202e\udcff=1"


def refused(code, err):
    assert code in (1, 2)
    assert "This is a bug" not in err
    assert "error: " in err


@pytest.mark.parametrize(
    "line",
    [
        "--seeds -1", "--seeds 9223372036854775808", "--views 1000000000", "--views 0", "--method croft --set batch=0",
        f"--results /tmp/{'a' * 300}", f"--cache /tmp/{'a' * 300}", f"--data-root /tmp/{'a' * 300}",
    ],
)  # fmt: skip
def test_what_no_run_can_have_is_one_line(croftbench, suite_file, line):
    words = line.split()
    method = [] if "--method" in words else ["--method", "zero-shot"]
    code, _, err = croftbench("run", "-s", suite_file, *method, *words)
    refused(code, err)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('id = ["emoji/twemoji"]', "id = []", "food.toml:"),
        ("known = 0.3", "known = 1e999", "known"),
        ("known = 0.3", "known = nan", "known"),
        ("shots = 2", "shots = " + "[" * 5000, "food.toml"),
    ],
)
def test_a_suite_that_is_odd_names_its_line(croftbench, suite_file, old, new, where):
    suite_file.write_text(FOOD.replace(old, new))
    code, _, err = croftbench("run", "-s", suite_file, "-m", "zero-shot")
    refused(code, err)
    assert where in err


def test_tuning_on_two_classes_says_what_it_needs(croftbench, suite_file):
    suite_file.write_text(FOOD.replace("known = 0.3", "known = 2"))
    code, _, err = croftbench("tune", "tip-adapter", "-s", suite_file, "--grid", "alpha=1,2")
    refused(code, err)
    assert "2 known classes" in err


def test_a_folder_that_cannot_be_written_is_named_by_export(croftbench, made, tmp_path):
    """Below /proc nobody makes a file, root neither."""
    made(tmp_path / "results", "croft", 1)
    code, _, err = croftbench("export", "/proc/runs.zip")
    refused(code, err)
    assert "/proc" in err


def test_what_a_bundles_world_says_reaches_no_terminal(croftbench, made, tmp_path):
    folder = tmp_path / "results"
    run = made(folder, "croft", 1)
    path = results.path_of(folder, run.spec)
    path.unlink()
    results.write(folder, replace(run, env={"device": EVIL.replace("\udcff", "")}))
    for flags in ([], ["--json"]):
        code, out, _ = croftbench("show", run.spec.run_id, *flags)
        assert code == 0
        assert not plain.UNSAFE.search(out)
        assert "x1b" in out or "u001b" in out
    assert json.loads(out)["env"]["device"] == EVIL.replace("\udcff", "")


def test_an_error_that_quotes_a_hostile_name_is_harmless(croftbench):
    code, _, err = croftbench("show", EVIL)
    assert code == 2 or code == 1
    assert not plain.UNSAFE.search(err)


def test_cells_that_a_spreadsheet_would_compute_are_text():
    table = pd.DataFrame({"method": ["=1+1", "-x", "+x", "@x", "fine, a=1", "\x1b[2J"], "value": [-1.0, 2, 3, 4, 5, 6]})
    lines = data.csv(table).splitlines()
    assert lines[1:4] == ["'=1+1,-1.0", "'-x,2.0", "'+x,3.0"]
    assert lines[4:] == ["'@x,4.0", '"fine, a=1",5.0', "\\x1b[2J,6.0"]


def test_every_format_shows_what_others_would_obey():
    assert plain.shown("a\tb\n") == "a\tb\n"
    for written in (plain.shown(EVIL), markdown.escape(EVIL), latex.escape(EVIL)):
        assert not plain.UNSAFE.search(written)
        written.encode()
    assert json.loads(plain.json_shown(json.dumps(EVIL, ensure_ascii=False))) == EVIL


# ------------------------------------------------------------------------------------- doctor


def test_doctor_says_what_a_report_needs_and_no_home_folder(croftbench, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, _ = croftbench("doctor")
    assert code == 0
    for word in ("croftbench", "python", "torch", "memory", "cpu", "results", "cache", "emoji", "suites"):
        assert word in out
    assert str(tmp_path) not in out
    assert "~/results" in out
    code, out, _ = croftbench("doctor", "--json")
    assert json.loads(out)["wrong"] == 0


def test_doctor_finds_what_would_stop_a_run(croftbench, tmp_path, monkeypatch):
    monkeypatch.setattr(doctoring, "version", lambda name: "0.1" if name == "torch" else "99")
    code, out, err = croftbench("doctor", "--data-root", tmp_path / "gone")
    assert code == 1
    assert "[wrong] >=2.3 is needed" in out
    assert "[wrong] it cannot be read" in out
    assert "would stop a run" in err
    assert "OMP_NUM_THREADS" in out or "OMP_NUM_THREADS" not in os.environ
