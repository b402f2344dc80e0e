"""How help looks: plain text that fits 80 columns and ends in examples."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import typer

HELP = {"help_option_names": ["-h", "--help"]}


def alone(function: Any, home: ModuleType) -> typer.Typer:
    """A program of one command, whose help ends in its module's EXAMPLES; of its own class, where it has a COMMAND."""
    app = group()
    kind = getattr(home, "COMMAND", None)
    app.command(epilog=epilog(home.EXAMPLES), context_settings=HELP, cls=kind)(function)
    return app


def group(text: str = "") -> typer.Typer:
    """A program without commands so far, in the style of all others: plain help that fits 80 columns."""
    return typer.Typer(
        help=text, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False,
        no_args_is_help=bool(text), context_settings=HELP,
    )  # fmt: skip


def epilog(examples: str) -> str:
    """Examples as the last paragraph of a help text, line by line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines())
