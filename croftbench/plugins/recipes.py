"""Named recipes: the hyper-parameters that a method declares under a name, or a suite adds to them.

A value that depends on the number of shots is a mapping from the least number of shots to the value: `{1: 50, 8: 200}`
is 50 for 1 to 7 shots and 200 from 8 on. In a manifest: `epochs = { 1 = 50, 8 = 200 }`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from croftbench.errors import UsageError
from croftbench.plugins.parameters import Value

Settings = Mapping[str, Value | Mapping[str, Value]]
"""Hyper-parameters by name; the numbers of shots are text, as manifests and JSON write them."""


def declared(cls: Any) -> dict[str, Settings]:
    """The recipes of a method's class, by name; none where it declares none.

    Raises:
        UsageError: they are of another form.
    """
    recipes = getattr(cls, "recipes", {})
    try:
        return {str(name): {key: _by_shots(value) for key, value in one.items()} for name, one in recipes.items()}
    except (AttributeError, ValueError) as error:
        raise UsageError(
            f"recipes of {cls.__name__} are not of the form name -> hyper-parameters ({error}).",
            "Example: recipes: ClassVar = {'authors': {'lr': 0.001, 'epochs': {1: 50, 8: 200}}}",
        ) from error


def _by_shots(value: Any) -> Any:
    return {str(int(least)): of for least, of in value.items()} if isinstance(value, Mapping) else value


def at_shots(settings: Settings, shots: int) -> dict[str, Value]:
    """The hyper-parameters for so many shots; below the least number that a value names, its first one.

    Raises:
        UsageError: a number of shots that is none.
    """
    chosen: dict[str, Value] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            leasts = sorted(_numbers(name, value))
            value = value[str(max((least for least in leasts if least <= shots), default=leasts[0]))]
        chosen[name] = value
    return chosen


def every(settings: Settings) -> Iterator[dict[str, Value]]:
    """The hyper-parameters for every number of shots that makes a difference, to be checked."""
    named = {n for name, value in settings.items() if isinstance(value, Mapping) for n in _numbers(name, value)}
    return (at_shots(settings, shots) for shots in sorted(named or {1}))


def _numbers(name: str, by_shots: Mapping[str, Value]) -> list[int]:
    if not by_shots or not all(least.isdecimal() and str(int(least)) == least for least in by_shots):
        raise UsageError(
            f"{name} has values by {', '.join(map(repr, by_shots)) or 'nothing'}, not by numbers of shots.",
            f"Example: {name} = {{ 1 = 50, 8 = 200 }}: 50 for 1 to 7 shots, 200 from 8 on.",
        )
    return [int(least) for least in by_shots]
