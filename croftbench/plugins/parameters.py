"""Hyper-parameters of a method: the fields of its dataclass, nested ones flattened, and values read as their types.

A dataclass says which values make sense beside its fields: `ranges: ClassVar = {"lr": "> 0", "momentum": ">= 0, < 1"}`.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from croftbench.errors import UsageError
from croftbench.values import convert

Value = bool | int | float | str | None

LIMIT = re.compile(r"([<>]=?) (-?\d+(?:\.\d+)?)")
COMPARE: Mapping[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter.

    Attributes:
        default: what it is where nobody sets it.
        kind: the type its values are read as.
        choices: its values, where it has some; as text.
        range: what a number must be, as in ">= 0, < 1"; "" for anything.
        later: a run's record holds it only where it is not the default; see `method.later`.
    """

    default: Value
    kind: str
    choices: tuple[str, ...] = ()
    range: str = ""
    later: bool = False


def parameters(cls: Any, example: Any = None) -> dict[str, Parameter]:
    """Flat name -> parameter; fields of a nested dataclass stand beside the others. Defaults are those of `example`.

    Raises:
        UsageError: a field without a default, two of one name, a value that a run's record cannot hold, or a range
            that says nothing.
    """
    hints, ranges = _hints(cls), getattr(cls, "ranges", {})
    flat: dict[str, Parameter] = {}
    for field in dataclasses.fields(cls):
        default = _default(field) if example is None else getattr(example, field.name)
        if default is dataclasses.MISSING:
            raise UsageError(f"hyper-parameter '{field.name}' of {cls.__name__} has no default.", "Give it one.")
        if dataclasses.is_dataclass(default):
            new = parameters(type(default), default)
        else:
            name, limits = f"'{field.name}' of {cls.__name__}", ranges.get(field.name, "")
            made = _parameter(name, hints.get(field.name), default, limits)
            new = {field.name: dataclasses.replace(made, later=field.metadata.get("later", False))}
        if twice := flat.keys() & new.keys():
            raise UsageError(f"hyper-parameter '{min(twice)}' of {cls.__name__} is there twice.", "Rename one.")
        flat.update(new)
    return flat


def _parameter(name: str, hint: Any, default: Any, limits: str = "") -> Parameter:
    if not isinstance(default, Value):
        raise UsageError(
            f"hyper-parameter {name} is a {type(default).__name__}, which a run's record cannot hold.",
            "Use bool, int, float or str, or a dataclass of these.",
        )
    choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
    kind = hint.__name__ if hint in (bool, int, float, str) else type(default).__name__
    if kind == "float" and isinstance(default, int):  # alpha=3 and alpha=3.0 are one configuration
        default = float(default)
    if not re.fullmatch(f"({LIMIT.pattern}(, {LIMIT.pattern})*)?", limits):
        raise UsageError(f"the range of hyper-parameter {name}, '{limits}', says nothing.", 'Example: ">= 0, < 1"')
    return Parameter(default, kind, tuple(map(str, choices)), limits)


def _hints(cls: Any) -> dict[str, Any]:
    """Types of a class's fields; none where they name what only a function knows: values then tell their types."""
    try:
        return typing.get_type_hints(cls)
    except NameError:
        return {}


def _default(field: dataclasses.Field[Any]) -> Any:
    """What a field is when it is not given; MISSING if it must be."""
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def construct(cls: Any, values: dict[str, Any]) -> Any:
    """Build `cls`, taking its fields out of `values`."""
    arguments = {}
    for field in dataclasses.fields(cls):
        default = _default(field)
        if dataclasses.is_dataclass(default):
            arguments[field.name] = construct(type(default), values)
        else:
            arguments[field.name] = values[field.name]
    return cls(**arguments)


def typed(method: str, name: str, value: Value | str, parameter: Parameter) -> Value:
    """`value` as the parameter's type; text from the command line is converted.

    Raises:
        UsageError: it is of another type, out of its range, or none of the parameter's choices.
    """
    kinds = {"bool": bool, "int": int, "float": float}
    hint = f"Its default is {parameter.default}."
    read = convert(f"{method}'s {name}", str(value), kinds.get(parameter.kind, str), parameter.choices, hint)
    if not isinstance(read, str) and not all(
        COMPARE[sign](read, float(to)) for sign, to in LIMIT.findall(parameter.range)
    ):
        raise UsageError(f"{method}'s {name} must be {parameter.range}, not {read}.", hint)
    return read
