"""What work says while it goes on: stages for a progress bar, notes, failures, and seconds for a run's record."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from croftbench import plain

EVERY = 30
"""Seconds between two lines on one stage in a file."""


class Progress(Protocol):
    """Where progress is shown; nothing below it prints."""

    def begin(self, what: str) -> None:
        """What the stages from here on belong to, such as "run 2 of 6"; "" for nothing."""
        ...

    def stage(self, name: str, total: int) -> None:
        """A new stage of `total` steps begins; it is shown once a step of it is done, as what is cached takes none."""
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

    def begin(self, what: str) -> None: ...

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
    """One bar a stage on stderr, as a context; in a file a line now and then. Notes and complaints are lines."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        from croftbench.screen import Screen

        self.console = Screen(stderr=True)
        self.bars = RichProgress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True), console=self.console, transient=True,
        )  # fmt: skip
        self.of = self.name = ""
        self.total = self.done = 0
        self.began = self.told = time.monotonic()

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars.live.is_started:
            self.bars.stop()

    def begin(self, what: str) -> None:
        """Say it before the name of every stage from here on."""
        self.of = what

    def stage(self, name: str, total: int) -> None:
        """Take the last stage's bar away. The new one's comes with its first step, or at once if it has only one."""
        for task in self.bars.task_ids:
            self.bars.remove_task(task)
        self.name, self.total, self.done, self.began = name, total, 0, time.monotonic()
        if total == 1:
            self._show()

    def advance(self, steps: int = 1) -> None:
        """Move the current bar; in a file, say how far it is twice a minute."""
        self.done += steps
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        rate = self.done / max(now - self.began, 1e-3)
        speed = f"{rate:,.1f}/s" if rate >= 1 or not rate else f"{1 / rate:,.1f} s each"
        title = ": ".join(part for part in (self.of, self.name) if part)
        if self.console.is_terminal:
            if not self.bars.live.is_started:  # a command with nothing to do draws nothing
                self.bars.start()
            if not self.bars.task_ids:
                self.bars.add_task(title, total=self.total, rate="")
            for task in self.bars.task_ids:
                self.bars.update(task, completed=self.done, rate=speed if self.done else "")
        elif now - self.told >= EVERY and rate:
            self.told = now
            left = max(self.total - self.done, 0) / rate
            self.note(f"{title}: {self.done:,} of {self.total:,}, {speed}, {left:,.0f} s left")

    def note(self, message: str) -> None:
        """A dim line."""
        self.console.print(message, style="dim", markup=False)

    def complain(self, message: str, hint: str = "") -> None:
        """A line that begins as errors of the command line do."""
        complain(message, hint)


def complain(message: str, hint: str = "") -> None:
    """One line on stderr: what went wrong and what to do next."""
    print(plain.shown(f"error: {message} {hint}".rstrip()), file=sys.stderr)


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
