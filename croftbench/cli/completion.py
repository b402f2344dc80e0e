"""Completion for a shell: Click's script, shown, or installed where the shell reads it."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from croftbench.cli import VARIABLE, app
from croftbench.errors import UsageError

STARTS = {"bash": ".bashrc", "zsh": ".zshrc"}
"""What these shells read when they start; fish reads a folder of completions."""


def script() -> str:
    """The script for the user's shell.

    Raises:
        UsageError: Click has none for it.
    """
    kind = get_completion_class(_shell())
    if kind is None:
        raise UsageError(f"there is no completion for the shell '{_shell()}'.", "Point SHELL to bash, zsh or fish.")
    return kind(app, {}, "croftbench", VARIABLE).source().strip()


def install() -> str:
    """Write the script into a file and let the shell read it from its next start on; what was done."""
    shell, text = _shell(), script()
    if shell == "fish":
        path = Path.home() / ".config/fish/completions/croftbench.fish"
    else:
        path = Path(click.get_app_dir("croftbench")) / f"completion.{shell}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    if shell in STARTS:
        start = Path.home() / STARTS[shell]
        ready = "autoload -Uz compinit && compinit && " if shell == "zsh" else ""
        line = f"{ready}source '{path}'"
        if not start.exists() or line.encode() not in start.read_bytes().splitlines():
            with start.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")
    return f"Completion of {shell} is installed in {path}; it works in the next shell."


def _shell() -> str:
    return Path(os.environ.get("SHELL", "")).name
