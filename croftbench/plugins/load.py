"""A method's target -> its class, checked against the contract; and what its file imports, found without importing.

A target is "module:Class" or "path/to/file.py:Class", behind "wrapper+" where it is wrapped.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from functools import cache
from pathlib import Path
from typing import Any

from croftbench import authored
from croftbench.errors import UsageError, unknown
from croftbench.plugins.names import WRAPPERS, unwrap


def load(target: str) -> Any:
    """The class behind a target.

    Raises:
        UsageError: its file or class is not there, does not import, or does not meet the contract.
    """
    wrapper, inside = unwrap(target)
    if wrapper:
        return _wrapped(load(WRAPPERS[wrapper]), load(inside))
    module_name, _, attribute = target.rpartition(":")
    if module_name.endswith(".py"):
        module = authored.load(Path(module_name))
    else:
        with authored.importing(module_name):
            module = importlib.import_module(module_name)
    cls = getattr(module, attribute, None)
    if cls is None:
        raise unknown(f"class in {module_name}", attribute, [n for n in vars(module) if not n.startswith("_")])
    check_contract(cls, target)
    return cls


def check_contract(cls: Any, name: str) -> None:
    """Fail unless `cls` is a frozen dataclass with `needs` and `fit`.

    Raises:
        UsageError: it is not; the message says what to write.
    """
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and hasattr(cls, "fit") and hasattr(cls, "needs")):
        raise UsageError(
            f"{name} is not a method: it must be a frozen dataclass with `needs` and `fit(task)`.",
            "See docs/own-method.md.",
        )
    if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise UsageError(f"{name} must be a frozen dataclass.", "Write @dataclass(frozen=True) above the class.")


def imported_files(path: Path) -> set[Path]:
    """The files of this package that a method's file imports, directly or not: their defaults become its own."""
    reached: set[Path] = set()
    waiting = [path]
    while waiting:
        new = set(_imports(waiting.pop())) - reached
        reached |= new
        waiting += new
    return reached


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of this package's modules that a file names in import statements."""
    package = Path(__file__).parents[1]
    modules = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    inside = (module.split(".")[1:] for module in modules if module.startswith("croftbench."))
    places = (package.joinpath(*parts) for parts in inside)
    return tuple(f for place in places for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file())


def _wrapped(wrapper: Any, method: Any) -> Any:
    """The wrapper with the method's class for its field `method`; its version rises with either's."""
    inside = ("method", method, dataclasses.field(default_factory=method))
    recipes = {name: {**wrapper.recipes.get(name, {}), **own} for name, own in getattr(method, "recipes", {}).items()}
    both = {"needs": method.needs, "version": wrapper.version + getattr(method, "version", 1) - 1, "recipes": recipes}
    return dataclasses.make_dataclass(wrapper.__name__, [inside], bases=(wrapper,), namespace=both, frozen=True)
