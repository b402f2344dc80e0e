"""Promises of a contract that are checked one by one, and what it takes to check them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from croftbench import plugins
from croftbench.errors import CroftbenchError
from croftbench.runs.execute import Workbench
from croftbench.scorers import NotApplicableError

Trial = TypeVar("Trial")


@dataclass(frozen=True)
class Promise:
    """A promise that was checked: its name, and why it is not kept, with the line to change; "" where it is."""

    name: str
    broken: str = ""
    hint: str = ""


def kept(
    promises: Mapping[str, Callable[[Trial], None]], trial: Trial, inside: Callable[[], AbstractContextManager[object]],
    first: int,
) -> Iterator[Promise]:  # fmt: skip
    """Every promise, checked within `inside()`; where one of the `first` few is broken, no more than these, and where
    one has no meaning on the trial, none after it.
    """
    for number, (name, promise) in enumerate(promises.items()):
        try:
            with inside():
                promise(trial)
        except NotApplicableError as error:
            yield Promise(name, f"not applicable to zero-shot CLIP: {error.message}", "It cannot be checked there.")
            return
        except CroftbenchError as error:
            yield Promise(name, error.message, error.hint)
            if number < first:
                return
        else:
            yield Promise(name)


def test_folders(bench: Workbench) -> list[str]:
    """Where test images, their features and outputs are."""
    shipped = Path(plugins.__file__).parents[1] / "embedded" / "emoji"
    there = [bench.cache / "features", bench.cache / "outputs", shipped, *filter(None, [bench.roots.data])]
    return list(map(str, there))


_listening: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event == "open" and isinstance(arguments[0], str | bytes | Path):
        path = arguments[0].decode(errors="replace") if isinstance(arguments[0], bytes) else str(arguments[0])
        for heard in _listening:
            heard.append(str(Path(path).absolute()))


@contextmanager
def opened() -> Iterator[list[str]]:
    """The files that are opened inside."""
    if not getattr(opened, "hooked", False):  # a hook stays for ever; it is idle where nobody listens
        sys.addaudithook(_audit)
        opened.hooked = True  # type: ignore[attr-defined]
    heard: list[str] = []
    _listening.append(heard)
    try:
        yield heard
    finally:
        _listening.remove(heard)
