"""A run in a process of its own: whatever kills that, the others go on.

The parent sends what is to be run, pickled, through a pipe and reads the answer from another. The child ends when its
parent does.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from croftbench import blame
from croftbench.errors import CroftbenchError, MethodError, UsageError
from croftbench.plugins import MethodInfo
from croftbench.runs.spec import RunSpec

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench
    from croftbench.runs.isolation import Limits

COMMAND = [sys.executable, "-c", "from croftbench.runs import alone; alone.main()"]
PARENT_GONE = 3
"""Exit status of a child whose parent died."""


Done = TypeVar("Done")


def call(work: Callable[..., Done], bench: Workbench, spec: RunSpec, info: MethodInfo, *more: object) -> Done:
    """What a function of a module gives for a workbench, a run, its method and more arguments, worked out in a process
    of its own; nothing is kept of the workbench there.

    Raises:
        CroftbenchError: as the function does.
        MethodError: the process died; the message says of what.
        UsageError: a class that no other process can import.
    """
    bench.progress.stage(f"{info.name}, seed {spec.seed}, fold {spec.fold}, in a process of its own", 1)
    child = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": search_path()},
    )  # fmt: skip
    try:
        assert child.stdin is not None and child.stdout is not None
        limits = replace(bench.limits, isolate=False, alone=True)
        child.stdin.write(packed((about(bench, limits), work, spec, info, *more), [info]))
        child.stdin.flush()
        answer = child.stdout.read()
        status = child.wait()
    finally:  # Ctrl-C reaches the parent only
        child.kill()
        child.wait()
        child.stdin.close()  # type: ignore[union-attr]
        child.stdout.close()  # type: ignore[union-attr]
    bench.progress.advance()
    if not answer:
        raise _death(status, bench.limits.timeout, blame.defined(info.author))
    done = pickle.loads(answer)
    if isinstance(done, CroftbenchError):
        raise done
    return done  # type: ignore[no-any-return]


def search_path() -> str:
    """Where modules are found here, for a process that must find the same."""
    return os.pathsep.join(str(Path(place).absolute()) for place in sys.path if place or Path.cwd().is_dir())


def about(bench: Workbench, limits: Limits) -> dict[str, Any]:
    """The arguments of a workbench like this one, for another process."""
    return {
        "suite": bench.suite, "encoder_id": bench.encoder_id, "cache": bench.cache, "device": bench.device,
        "roots": bench.roots, "allow_incomplete": bench.allow_incomplete, "preprocess": bench.preprocess,
        "limits": limits,
    }  # fmt: skip


def packed(what: object, infos: Sequence[MethodInfo]) -> bytes:
    """What another process is to do, with the methods that it has to import for that.

    Raises:
        UsageError: a class that no other process can import.
    """
    names = [info.name for info in infos]
    try:
        for info in infos:
            if info.cls is not None and info.cls.__module__ == "__main__":
                names = [info.name]
                raise pickle.PicklingError("it is defined in the program that runs")
        return pickle.dumps(what)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        message = f"{', '.join(dict.fromkeys(names))} cannot be sent to another process: {error}."
        raise UsageError(message, "Put it into a file.") from error


def _death(status: int, timeout: float | None, where: str) -> MethodError:
    if status < 0:
        name = signal.Signals(-status).name
        hint = "Memory may have run out: try a smaller --set batch= or fewer --shots." if name == "SIGKILL" else ""
        return MethodError(f"its process was ended by {name}", hint, where)
    if status == 1 and timeout is not None:
        return MethodError(f"it took longer than its {timeout:g} s and did not stop", "Raise --timeout.", where)
    return MethodError(f"its process left without an answer, with exit status {status}", "", where)


def main() -> None:
    """The child: read what to run, run it, answer."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a method prints, from C too, is no answer
    about, work, *arguments = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")  # the parent said it
    from croftbench.runs.execute import Workbench

    try:
        done: object = work(Workbench(**about), *arguments)
    except CroftbenchError as error:
        error.add_note(traceback.format_exc())
        done = error
    pickle.dump(done, answers)
    answers.close()
    os._exit(0)  # not through what a method registered to be called at exit


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(PARENT_GONE)
