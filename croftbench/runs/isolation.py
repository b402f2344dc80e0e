"""What a method may do to others: nothing. Its code is called here, and leaves the process as it found it.

Whatever it raises, but for the user's own Ctrl-C, is a `MethodError` with its author's file and line: that run fails.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch

from croftbench import blame
from croftbench.errors import CroftbenchError, MethodError, UsageError

GRACE = 5.0
"""Seconds after its time that a method in a process of its own has to stop, before the process is ended."""

STATE: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (os.getcwd, os.chdir),
    (lambda: dict(os.environ), lambda before: _environment(before)),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    (np.geterr, lambda before: np.seterr(**before)),
)
"""What code can change for all others in the process: how to read it, how to set it."""


class _TimeUpError(BaseException):
    """The time of a method is up; no `except Exception` of its own stops this."""


def _environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


@dataclass
class _Watch:
    """What is known while a run goes on.

    Attributes:
        allowed, left: seconds that the method has, and still has; None for any number.
        alone: whether it has this process for itself.
        pressed: whether the user pressed Ctrl-C.
    """

    allowed: float | None = None
    left: float | None = None
    alone: bool = False
    pressed: bool = False


_current: ContextVar[_Watch | None] = ContextVar("_current", default=None)
"""Of the run that goes on in this thread, if one does."""


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Attributes:
        timeout: seconds that its method's own code may take, all calls together; None for any number.
        isolate: whether it gets a process of its own (see `runs.alone`).
        alone: whether this is that process.
    """

    timeout: float | None = None
    isolate: bool = False
    alone: bool = False


@contextlib.contextmanager
def one_run(seed: int, limits: Limits | None = None) -> Iterator[None]:
    """Around everything of one run: random streams start at its seed and are put back, as are filters of warnings.

    Raises:
        CroftbenchError: what was raised inside and is none: one line, of a bug that is nobody else's.
        UsageError: a timeout on a system, or in a thread, that has no alarm.
    """
    timeout, alone = (limits.timeout, limits.alone) if limits else (None, False)
    if timeout is not None and not (hasattr(signal, "SIGALRM") and _main()):
        raise UsageError("--timeout needs an alarm, which this system or thread lacks.", "Add --isolate.")
    watch = _Watch(timeout, timeout, alone)
    token = _current.set(watch)
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with _interrupts(watch), torch.random.fork_rng(devices), warnings.catch_warnings():
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
    except _TimeUpError as error:  # between two calls
        raise MethodError(f"it took longer than its {timeout:g} s", "Raise --timeout.") from error
    except CroftbenchError:
        raise
    except Exception as error:
        raise blame.ours(error) from error
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        _current.reset(token)


@contextlib.contextmanager
def calling(author: Any, begins: Any = None, passing: tuple[type[CroftbenchError], ...] = ()) -> Iterator[None]:
    """Around a call of an author's code: what it prints goes to stderr, what it changes is put back.

    Args:
        author, begins: whose code it is and what is called, for the message; see `blame.line`.
        passing: errors that are an answer, and go on as they are.

    Raises:
        MethodError: the code raised something, exits and interrupts of its own included, or its time is up.
        KeyboardInterrupt: the user's own.
    """
    watch, before = _current.get(), [(_now(get), get, put) for get, put in STATE]
    try:
        with contextlib.redirect_stdout(sys.stderr), _alarm():
            yield
    except _TimeUpError as error:
        message = f"it took longer than its {watch.allowed if watch else 0:g} s"
        raise MethodError(message, "Raise --timeout.", blame.line(error, author, begins)) from error
    except CroftbenchError as error:
        told = error if isinstance(error, passing) else blame.told(error, author, begins)
        if told is error:
            raise
        raise told from error
    except KeyboardInterrupt as error:
        if watch is None or watch.pressed:
            raise
        raise blame.raised(error, author, begins) from error
    except BaseException as error:
        raise blame.raised(error, author, begins) from error
    finally:
        for was, get, put in before:
            with contextlib.suppress(OSError):  # the folder was removed under us
                if _now(get) != was:
                    put(was)
        if watch is not None and watch.pressed:
            raise KeyboardInterrupt  # the author's code swallowed it


def _now(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except OSError:  # the current folder was removed
        return None


def _main() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _interrupts(watch: _Watch) -> Iterator[None]:
    """Note the user's Ctrl-C, so that one which a method raises is told from it; and undo a method's own handler."""
    before = signal.getsignal(signal.SIGINT) if _main() else None
    if not callable(before):  # another thread, or a process that ignores it
        yield
        return

    def pressed(number: int, frame: FrameType | None) -> None:
        watch.pressed = True
        before(number, frame)

    signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Ring when the time of the run's method is up, and again, should its code swallow that."""
    watch = _current.get()
    if watch is None or watch.left is None:
        yield
        return
    start, total = time.monotonic(), watch.left

    def up(number: int, frame: FrameType | None) -> None:
        raise _TimeUpError

    before = signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, max(total, 1e-3), 1.0)
    if watch.alone:
        faulthandler.dump_traceback_later(total + GRACE, exit=True)
    try:
        yield
        watch.left = max(0.0, total - (time.monotonic() - start))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if watch.alone:
            faulthandler.cancel_dump_traceback_later()
