"""How the command line speaks: one-line complaints, notes and progress bars on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Annotated

import platformdirs
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from croftbench.errors import UsageError

Results = Annotated[
    Path, typer.Option(help="Folder of runs and leaderboards.", envvar="CROFTBENCH_RESULTS", show_default=True)
]
DataRoot = Annotated[
    Path | None,
    typer.Option(help="Folder of datasets; only read.", envvar="CROFTBENCH_DATA", show_default=False),
]
Manifests = Annotated[
    Path | None,
    typer.Option(help="Another folder of manifests.", envvar="CROFTBENCH_MANIFESTS", show_default=False),
]
Cache = Annotated[Path, typer.Option(help="Folder of cached features.", envvar="CROFTBENCH_CACHE", show_default=False)]

RESULTS = Path("results")
CACHE = platformdirs.user_cache_path("croftbench")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def complain(message: str, hint: str = "") -> None:
    """One line on stderr: what went wrong and what to do next."""
    print(f"error: {message} {hint}".rstrip(), file=sys.stderr)


def note(message: str) -> None:
    """One line on stderr that is not an error."""
    err.print(message, style="dim", markup=False)


def parse_seeds(text: str) -> list[int] | None:
    """Whole numbers separated by commas; None for an empty text.

    Raises:
        UsageError: anything else.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()] or None
    except ValueError:
        raise UsageError(f"--seeds {text} is not a list of whole numbers.", "Example: --seeds 1,2,3") from None


class Bars:
    """`progress.Progress` as one rich bar a stage."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
        )
        self.current: TaskID | None = None

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def stage(self, name: str, total: int) -> None:
        """Show a new bar; finished ones stay above it only while their stage was the last."""
        if self.current is not None and self.progress.tasks:
            self.progress.remove_task(self.current)
        self.current = self.progress.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the current bar."""
        if self.current is not None:
            self.progress.advance(self.current, steps)
