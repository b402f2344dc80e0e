"""A run in a process of its own: whatever kills that, the others go on."""

from __future__ import annotations

import pickle
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from croftbench import blame, child
from croftbench.errors import MethodError, UsageError
from croftbench.plugins import MethodInfo
from croftbench.runs.spec import RunSpec

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench
    from croftbench.runs.isolation import Limits

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
    limits = replace(bench.limits, isolate=False, alone=True)
    asked = packed((_on_bench, about(bench, limits), work, spec, info, *more), [info])
    try:
        return child.call_packed(asked)  # type: ignore[return-value]
    except child.DiedError as died:
        raise _death(died.status, bench.limits.timeout, blame.defined(info.author)) from None
    finally:
        bench.progress.advance()


def _on_bench(about: dict[str, Any], work: Callable[..., Done], *arguments: object) -> Done:
    """In the other process."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")  # the parent said it
    from croftbench.runs.execute import Workbench

    return work(Workbench(**about), *arguments)


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
