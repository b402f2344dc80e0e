"""Every option is declared once and is taken the same way by every command that needs it; help is worth reading."""

import json
import shlex
import shutil

import click
import pytest

from croftbench import cli
from croftbench.cli import options
from croftbench.cli.help import HELP
from croftbench.suites import manifest

VARIABLES = {
    "results": "CROFTBENCH_RESULTS", "cache": "CROFTBENCH_CACHE", "data_root": "CROFTBENCH_DATA",
    "manifests": "CROFTBENCH_MANIFESTS", "encoder": "CROFTBENCH_ENCODER", "device": "CROFTBENCH_DEVICE",
}  # fmt: skip
TAKES = {
    "run": {"results", "cache", "data_root", "manifests", "encoder", "device"},
    "tune": {"results", "cache", "data_root", "manifests", "encoder", "device"},
    "diagnose": {"results", "cache", "data_root", "manifests", "encoder", "device"},
    "reproduce": {"results", "cache", "data_root", "manifests", "device"},
    "check": {"results", "cache", "data_root", "manifests", "device"},
    "doctor": {"results", "cache", "data_root", "manifests"},
    "new": set(),
    "list": {"cache", "manifests"},
    "show": {"results", "cache", "manifests"},
    "leaderboard": {"results", "cache", "manifests"},
    "compare": {"results", "cache", "data_root", "manifests"},
    "plot": {"results", "cache", "data_root", "manifests"},
    "report": {"results", "cache", "data_root", "manifests"},
    "evaluate": set(),
    "rm": {"results"},
    "export": {"results", "cache", "manifests"},
    "import": {"results"},
    "cache list": {"cache"},
    "cache size": {"cache"},
    "cache prune": {"cache"},
    "data status": {"data_root", "manifests"},
    "data verify": {"data_root", "manifests"},
    "data describe": {"manifests"},
    "data get": {"data_root", "manifests"},
    "data new": set(),
}
"""What each command reads. `run` needs all; `export` one for names and headlines."""


def commands(group=None, prefix=""):
    """Every command by its full name."""
    group = group or cli.app
    found = {}
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        inner = hasattr(command, "list_commands")
        found |= commands(command, f"{prefix}{name} ") if inner else {f"{prefix}{name}": command}
    return found


COMMANDS = commands()


def test_the_table_above_names_every_command():
    assert set(TAKES) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_takes_what_it_reads_by_flag_and_by_variable(name):
    given = {p.name: p for p in COMMANDS[name].params if p.name in VARIABLES}
    assert set(given) == TAKES[name]
    for option, parameter in given.items():
        assert parameter.envvar == VARIABLES[option]
        assert f"--{option.replace('_', '-')}" in parameter.opts


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_ends_in_examples_that_parse_and_fits_80_columns(name, capsys):
    for flag in ("-h", "--help"):
        with pytest.raises(SystemExit):
            cli.app([*name.split(), flag], prog_name="croftbench")
        text, err = capsys.readouterr()
        assert err == ""
        assert max(map(len, text.splitlines())) <= 80
    head, _, examples = text.partition("Examples:\n")
    assert head.startswith(f"Usage: croftbench {name}")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines
    for line in lines:
        words = shlex.split(line.partition(" > ")[0])
        assert words[: len(name.split()) + 1] == ["croftbench", *name.split()]
        COMMANDS[name].make_context(name, words[len(name.split()) + 1 :], click.Context(cli.app, **HELP))


def test_every_command_has_its_line_and_the_list_fits_80_columns(capsys):
    with pytest.raises(SystemExit):
        cli.app(["--help"], prog_name="croftbench")
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert all(line in text for _, line in cli.COMMANDS.values())


# ------------------------------------------------------------------------------------- honoured


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of manifests with a suite that the package lacks, and a dataset under another title."""
    folder = tmp_path / "manifests"
    shutil.copytree(manifest.root(), folder)
    text = (folder / "suites/emoji-open.toml").read_text()
    (folder / "suites/mine.toml").write_text(text.replace('name = "emoji-open"', 'name = "mine"'))
    return folder


def by_both(croftbench, monkeypatch, line, option, value):
    """What a command says with a flag, and with the variable in its place."""
    flag = f"--{option.replace('_', '-')}"
    flagged = croftbench(*line, flag, value)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLES[option], str(value))
        return flagged, croftbench(*line)


@pytest.mark.parametrize(
    "line",
    [
        "leaderboard mine", "plot pareto -s mine", "report mine", "compare croft zero-shot -s mine",
        "tune croft -s mine --grid lambda2=0,frog", "diagnose croft -s mine --sweep lambda2=frog",
        "run -m croft -s mine --set lambda2=frog", "reproduce --record mine", "data describe mine",
    ],
)  # fmt: skip
def test_other_manifests_are_read_by_every_command(croftbench, monkeypatch, elsewhere, line):
    """The suite is known: what is wrong, if anything, is what comes after it."""
    code, _, err = croftbench(*line.split())
    assert code == 2
    assert "unknown" in err and "'mine'" in err
    for _, out, err in by_both(croftbench, monkeypatch, line.split(), "manifests", elsewhere):
        assert "'mine'" not in err
        assert "mine" in out or "no results folder" in err or "no runs" in err or "frog" in err or "no complete" in err


@pytest.mark.parametrize("line", ["list suites --json", "check", "data status --json"])
def test_other_manifests_are_listed_and_checked(croftbench, monkeypatch, elsewhere, line):
    assert "mine" not in croftbench(*line.split())[1]
    for code, out, _ in by_both(croftbench, monkeypatch, line.split(), "manifests", elsewhere):
        assert code == 0
        assert "mine" in out


@pytest.mark.parametrize(
    "line",
    [
        "leaderboard emoji-open", "plot pareto", "report", "compare croft zero-shot", "export out.zip", "show 123456",
        "reproduce", "reproduce --record emoji-open",
    ],
)  # fmt: skip
def test_the_results_folder_that_is_named_is_the_one_that_is_read(croftbench, monkeypatch, tmp_path, line):
    monkeypatch.chdir(tmp_path)
    named = tmp_path / "named"
    for code, _, err in by_both(croftbench, monkeypatch, line.split(), "results", named):
        assert code != 0
        assert str(named) in err


@pytest.mark.parametrize("line", ["data verify pacs/photo", "data status", "run -m zero-shot -s setup2-pacs"])
def test_a_data_folder_that_is_not_there_is_named(croftbench, monkeypatch, tmp_path, line):
    missing = tmp_path / "gone"
    for code, _, err in by_both(croftbench, monkeypatch, line.split(), "data_root", missing):
        assert code == 1
        assert f"there is no data folder {missing}" in err


@pytest.mark.parametrize("line", ["run -m zero-shot", "tune croft --grid epochs=1", "diagnose"])
@pytest.mark.parametrize(("option", "says"), [("device", "frog"), ("encoder", "frog")])
def test_device_and_encoder_are_taken(croftbench, monkeypatch, line, option, says):
    for code, _, err in by_both(croftbench, monkeypatch, line.split(), option, "frog"):
        assert code == 2
        assert says in err


@pytest.mark.parametrize("line", ["run -m zero-shot", "tune croft --grid epochs=1", "diagnose"])
def test_preprocessing_is_taken_where_an_encoder_is(croftbench, line):
    code, _, err = croftbench(*line.split(), "--preprocess", "frog")
    assert code == 2
    assert "--preprocess: unknown encoder 'frog'" in err


def test_names_are_separated_by_commas_or_repeated():
    assert options.names_of(["a,b", "b", " c "]) == ["a", "b", "c"]
    assert options.names_of(None) == []
    with pytest.raises(Exception, match="empty list"):
        options.names_of(" , ")


def test_the_cache_that_is_named_is_the_one_that_is_used(croftbench, monkeypatch, tmp_path):
    kept = tmp_path / "kept/features"
    kept.mkdir(parents=True)
    (kept / "abc.npy").write_bytes(b"x")
    for code, out, _ in by_both(croftbench, monkeypatch, ["cache", "list"], "cache", tmp_path / "kept"):
        assert (code, "abc.npy" in out) == (0, True)


@pytest.mark.parametrize(
    "line",
    [
        "leaderboard emoji-open", "leaderboard emoji-open --check", "compare croft zero-shot", "plot pareto",
        "export out.zip -m croft", "show croft", "report -o site",
    ],
)  # fmt: skip
def test_what_is_known_of_methods_is_in_the_cache_that_is_named(croftbench, made, monkeypatch, tmp_path, line):
    monkeypatch.chdir(tmp_path)
    runs = [made(tmp_path / "results", method, seed) for method in ("croft", "zero-shot") for seed in (1, 2, 3)]
    assert runs and croftbench("leaderboard", "emoji-open")[0] == 0
    for place, given in (("flagged", ["--cache", tmp_path / "flagged"]), ("told", [])):
        monkeypatch.setenv("CROFTBENCH_CACHE", str(tmp_path / ("told" if place == "told" else "neither")))
        assert croftbench(*line.replace("site", place).split(), *given)[0] == 0
        assert list((tmp_path / place / "methods").iterdir())
        assert not (tmp_path / "neither").exists()


def test_json_is_json(croftbench):
    assert json.loads(croftbench("list", "suites", "--json")[1])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("rnu",), "unknown command 'rnu'. Did you mean 'run'?"),
        (("data", "stauts"), "unknown command 'stauts'. Did you mean 'status'?"),
        (("cache", "xyz"), "unknown command 'xyz'. Known: list, prune, size."),
        (("run", "--sede", "1"), "No such option '--sede'. Did you mean '--seeds'?"),
        (("leaderboard", "--device", "x"), "No such option '--device'. See `croftbench leaderboard --help`."),
    ],
)
def test_a_misspelt_word_brings_the_closest_one(croftbench, line, says):
    code, out, err = croftbench(*line)
    assert (code, out) == (2, "") and says in err
