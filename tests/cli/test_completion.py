"""What a shell completes, and how it gets to know that."""

import subprocess
import sys

import pytest

from croftbench.cli import COMMANDS

START = {"bash": ".bashrc", "zsh": ".zshrc"}


def offered(monkeypatch, *words):
    """What is offered for the last word."""
    monkeypatch.setenv("_CROFTBENCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["croftbench", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    done = subprocess.run([sys.executable, "-m", "croftbench"], capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "those"),
    [
        ([""], list(COMMANDS)),
        (["rep"], ["report", "reproduce"]),
        (["list", "s"], ["suites", "splits", "scorers"]),
        (["run", "--sho"], ["--shots", "--show-config"]),
        (["cache", "p"], ["prune"]),
    ],
)
def test_commands_choices_and_options_are_offered(monkeypatch, words, those):
    assert offered(monkeypatch, *words) == those


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_the_users_shell_is_shown(croftbench, monkeypatch, shell):
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    code, out, _ = croftbench("--show-completion")
    assert code == 0
    assert f"_CROFTBENCH_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_it_is_installed_once_and_keeps_what_is_there(croftbench, monkeypatch, tmp_path, shell):
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    monkeypatch.setenv("HOME", str(tmp_path))
    start = tmp_path / START.get(shell, "none")
    start.write_bytes(b"alias a=b  # \xe9\n")
    for _ in range(2):
        code, out, _ = croftbench("--install-completion")
        assert code == 0
    (script,) = (path for path in tmp_path.rglob("*") if path.name in (f"completion.{shell}", "croftbench.fish"))
    assert str(script) in out
    assert f"_CROFTBENCH_COMPLETE={shell}_complete" in script.read_text()
    assert start.read_bytes().startswith(b"alias a=b  # \xe9\n")
    assert start.read_bytes().count(str(script).encode()) == (shell in START)


def test_a_shell_without_completion_is_named(croftbench, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, _, err = croftbench("--show-completion")
    assert code == 2
    assert "'tcsh'" in err
