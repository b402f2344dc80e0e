"""What work says while it goes on: stages for a progress bar, notes, failures, and seconds for a run's record."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol


class Progress(Protocol):
    """Where progress is shown; nothing below it prints."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of `total` steps begins."""
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps of the stage are done."""
        ...

    def note(self, message: str) -> None:
        """One line that is not an error."""
        ...

    def complain(self, message: str, hint: str = "") -> None:
        """One line on what went wrong, while other work goes on."""
        ...


class Silent:
    """Progress that is not shown."""

    def stage(self, name: str, total: int) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def note(self, message: str) -> None: ...

    def complain(self, message: str, hint: str = "") -> None: ...


class Errors(Silent):
    """Only what went wrong is shown."""

    def complain(self, message: str, hint: str = "") -> None:
        """A line that begins as errors of the command line do."""
        complain(message, hint)


class Bars:
    """One bar a stage on stderr, as a context; notes and complaints as lines of their own."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self.bars = RichProgress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=self.console,
        )  # fmt: skip

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars.live.is_started:
            self.bars.stop()

    def stage(self, name: str, total: int) -> None:
        """Show a new bar in place of the last stage's."""
        if not self.bars.live.is_started:  # a command with nothing to do draws nothing
            self.bars.start()
        for task in self.bars.task_ids:
            self.bars.remove_task(task)
        self.bars.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the current bar."""
        for task in self.bars.task_ids:
            self.bars.advance(task, steps)

    def note(self, message: str) -> None:
        """A dim line."""
        self.console.print(message, style="dim", markup=False)

    def complain(self, message: str, hint: str = "") -> None:
        """A line that begins as errors of the command line do."""
        complain(message, hint)


def complain(message: str, hint: str = "") -> None:
    """One line on stderr: what went wrong and what to do next."""
    print(f"error: {message} {hint}".rstrip(), file=sys.stderr)


def epochs(progress: Progress, name: str) -> Callable[[int, int, float], None]:
    """What a method tells of its epochs, as a stage: a `Task.on_epoch`."""

    def show(epoch: int, epochs: int, loss: float) -> None:
        if epoch == 0:
            progress.stage(f"training {name}", epochs)
        progress.advance()

    return show


class Clock:
    """Seconds by stage."""

    def __init__(self, timings: dict[str, float]) -> None:
        self.timings = timings

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings[stage] = round(time.perf_counter() - start, 3)
