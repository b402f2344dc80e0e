"""Values from text: what a user types or a manifest says, as the type that a parameter declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from croftbench.errors import UsageError, unknown

Value = bool | int | float | str
"""What a parameter of a method or of a score may be."""

SPELLING: Mapping[type, str] = {bool: "(?i:true|false)", int: "[^.]*"}
"""Pydantic reads "on" as a bool and "2.0" as an int too, which here is a slip more often than it is meant."""


def convert(
    name: str, text: str, kind: type[bool | int | float | str], choices: Sequence[str] = (), hint: str = ""
) -> Value:
    """A text as a parameter's type, one of its choices where it has some.

    Args:
        name: of the parameter, for messages: "croft's lr".
        text: what was given.
        kind: bool, int, float or str.
        choices: of the values, as text.
        hint: what to do next.

    Raises:
        UsageError: it is of another type, not finite, or no choice (the message suggests the closest).
    """
    from pydantic import FiniteFloat, TypeAdapter  # not before a value is read: importing it takes a tenth of a second

    try:
        if not re.fullmatch(SPELLING.get(kind, r"(?s:.*)"), text):
            raise ValueError
        reader: TypeAdapter[Value] = TypeAdapter(FiniteFloat if kind is float else kind)
        converted = text if kind is str else reader.validate_strings(text)
    except ValueError:
        raise UsageError(f"'{text}' is not a value for {name}: it is of type {kind.__name__}.", hint) from None
    if choices and str(converted) not in choices:
        raise unknown(f"value of {name}", text, choices)
    return converted
