"""The small commands: list, check, cache, leaderboard, and how the command line fails."""

import json
import os
import shutil
import sys

import pytest

from croftbench import cli
from croftbench.cli import console  # noqa: F401  its width is read once, before a test sets COLUMNS
from croftbench.suites import manifest


@pytest.fixture
def croftbench(monkeypatch, capsys, tmp_path):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["croftbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    monkeypatch.setenv("CROFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CROFTBENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "200")
    return call


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", ["zero-shot", "coop", "croft"]),
        ("suites", ["emoji-open", "emoji-kinds"]),
        ("splits", ["digits", "emoji"]),
        ("scorers", ["energy", "mcm", "msp"]),
        ("encoders", ["emoji-clip/croftbench", "ViT-B-16/openai"]),
    ],
)
def test_list_for_people_and_for_programs(croftbench, kind, names):
    code, out, _ = croftbench("list", kind)
    assert code == 0
    assert all(name in out for name in names)
    code, out, _ = croftbench("list", kind, "--json")
    rows = json.loads(out)
    assert set(names) <= {row["name"] for row in rows}
    assert all(all(str(value) for value in row.values()) for row in rows)


def test_check_passes_on_what_ships(croftbench):
    code, out, err = croftbench("check")
    assert code == 0, err
    assert "ok  suite emoji-open" in out
    assert "ok  dataset emoji: 8 parts as they ship" in out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("shots = 3", "shots = 0", "emoji-open.toml:14: shots must be at least 1"),
        ("lambda2 = 0.1", "lamda2 = 0.1", "Did you mean 'lambda2'"),
        ("[recipes.croft]", "[recipes.crotf]", "Did you mean 'croft'"),
        ('scorers = ["energy", "msp"', 'scorers = ["energy", "mps"', "Did you mean 'msp'"),
    ],
)
def test_check_names_the_fault_and_goes_on(croftbench, tmp_path, old, new, says):
    folder = tmp_path / "manifests"
    shutil.copytree(manifest.root(), folder)
    path = folder / "suites/emoji-open.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    code, out, err = croftbench("check", "--manifests", folder)
    assert code == 1
    assert says in err
    assert "ok  suite emoji-kinds" in out


def test_cache_commands_on_an_empty_and_a_full_cache(croftbench, tmp_path):
    code, out, _ = croftbench("cache", "size")
    assert (code, out.split()[0]) == (0, "0.0")
    features = tmp_path / "cache/features"
    features.mkdir(parents=True)
    (features / "abc.npy").write_bytes(b"x" * 1000)
    (features / "abc.123.tmp").write_bytes(b"x" * 10)
    _, out, _ = croftbench("cache", "list")
    assert "abc.npy" in out
    assert "unfinished" in out
    code, out, _ = croftbench("cache", "prune", "--days", "0")
    assert "removed 1 entries" in out
    assert [path.name for path in features.iterdir()] == ["abc.123.tmp"]  # somebody may be writing it
    os.utime(features / "abc.123.tmp", (0, 0))
    _, out, _ = croftbench("cache", "prune", "--days", "0")
    assert "removed 1 entries" in out
    assert not list(features.iterdir())


def test_leaderboard_without_runs_says_what_to_do(croftbench):
    code, _, err = croftbench("leaderboard")
    assert code == 2
    assert "croftbench run" in err


def test_an_unknown_command_is_one_line(croftbench):
    code, _, err = croftbench("rnu")
    assert code == 2
    assert len(err.splitlines()) == 1


def test_a_bug_is_one_line_unless_asked_for_more(croftbench, monkeypatch):
    monkeypatch.setattr(manifest, "names", lambda *args: 1 / 0)
    code, _, err = croftbench("list", "suites")
    assert code == 1
    assert err.startswith("error: ZeroDivisionError: division by zero")
    assert len(err.splitlines()) == 1
    code, _, err = croftbench("list", "suites", "--traceback")
    assert "Traceback (most recent call last)" in err


def test_listed_methods_and_scorers_cite_their_papers_and_fit_100_columns(croftbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for kind in ("methods", "scorers"):
        out = croftbench("list", kind)[1]
        assert max(map(len, out.splitlines())) <= 100
        for row in json.loads(croftbench("list", kind, "--json")[1]):
            assert "arXiv" in row["citation"] or row["name"] in ("entropy", "margin", "gen", "she"), row["name"]
            assert row["citation"].split()[0] in out
    rows = {row["name"]: row for row in json.loads(croftbench("list", "methods", "--json")[1])}
    assert (rows["zero-shot"]["needs"], rows["coop"]["needs"]) == ("no training", "text tower")
    assert rows["croft"]["needs"] == "features"
    assert rows["coop"]["citation"] == "Learning to Prompt for Vision-Language Models, IJCV 2022, arXiv 2109.01134."
    assert rows["wise-ft+…"]["needs"] == "as the method inside"
    assert rows["dplclip"]["needs"] == "text tower, transductive"
