"""Errors that a user can act on: what, where, and the next command to try, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class CroftbenchError(Exception):
    """A failure with a known cause.

    Attributes:
        message: what went wrong and where, one line.
        hint: what to do next, or "".
        exit_code: the process's exit status: 1 failed, 2 usage.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole, for another process."""
        return _again, (type(self), dict(vars(self)))


def _again(cls: type[CroftbenchError], state: dict[str, Any]) -> CroftbenchError:
    error = cls.__new__(cls)
    CroftbenchError.__init__(error, state["message"], state["hint"])
    vars(error).update(state)
    return error


class UsageError(CroftbenchError):
    """The command line asked for something that does not exist or does not fit."""

    exit_code = 2


class ManifestError(CroftbenchError):
    """A manifest breaks a rule; the message names the file and the line or key at fault."""


class DataError(CroftbenchError):
    """Images, features or results on disk are missing, unreadable or inconsistent."""


class DamagedError(DataError):
    """Bytes on disk that are not those that were written.

    Attributes:
        reason: what is wrong with them, without where they are.
    """

    def __init__(self, path: object, reason: str, hint: str = "Delete it and run again.") -> None:
        super().__init__(f"{path} is damaged: {reason}.", hint)
        self.reason = reason


class TrainingError(CroftbenchError):
    """A method did not train: a loss that is not finite, outputs of the wrong shape."""


class MethodError(TrainingError):
    """The code of a method, or of a score, failed: what it raised, and where in its author's file.

    Attributes:
        where: "file:line", or "" where no line of the author's is known.
    """

    def __init__(self, message: str, hint: str = "", where: str = "") -> None:
        super().__init__(f"{message}, at {where}." if where else f"{message}.", hint)
        self.where = where


def unknown(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """The error for a misspelt name, with the closest valid one and where to see them all."""
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."
    return UsageError(f"unknown {kind} '{name}'.", guess)
