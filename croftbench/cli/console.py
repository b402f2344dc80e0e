"""How the command line speaks: results on stdout, notes and errors on stderr."""

from __future__ import annotations

from rich.console import Console

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def note(message: str) -> None:
    """One line on stderr that is not an error."""
    err.print(message, style="dim", markup=False)
