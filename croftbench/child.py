"""A function's call in a process of its own, fresh: whatever ends that process, this one goes on.

What is asked goes, pickled, through a pipe and the answer comes back through another; nothing pickled is ever read from
a file. The child ends when its parent does. Unlike multiprocessing's, it does not import the program that runs.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from croftbench.errors import CroftbenchError

COMMAND = [sys.executable, "-c", "from croftbench import child; child.main()"]
PARENT_GONE = 3
"""Exit status of a child whose parent died."""

Done = TypeVar("Done")


class DiedError(Exception):
    """A child that left without an answer, with `status`; negative is the number of the signal that ended it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


def call(work: Callable[..., Done], *arguments: object) -> Done:
    """What a function of a module gives for these arguments, worked out in a process of its own.

    Raises:
        CroftbenchError: as the function does.
        DiedError: the process died.
        pickle.PicklingError, AttributeError, TypeError: something cannot be sent there.
    """
    return call_packed(pickle.dumps((work, *arguments)))  # type: ignore[return-value]


def call_packed(asked: bytes) -> object:
    """The same, of a function and its arguments that are pickled."""
    child = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": search_path()},
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(asked)
        child.stdin.flush()
        answer = child.stdout.read()
        status = child.wait()
    finally:  # Ctrl-C reaches the parent only
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    if not answer:
        raise DiedError(status)
    done: object = pickle.loads(answer)
    if isinstance(done, CroftbenchError):
        raise done
    return done


def search_path() -> str:
    """Where modules are found here, for a process that must find the same."""
    return os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place or Path.cwd().is_dir())


def main() -> None:
    """The child: read what to call, call it, answer."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed, from C too, is no answer
    work, *arguments = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        done: object = work(*arguments)
    except CroftbenchError as error:
        error.add_note(traceback.format_exc())
        done = error
    pickle.dump(done, answers)
    answers.close()
    os._exit(0)  # not through what a method registered to be called at exit


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(PARENT_GONE)
