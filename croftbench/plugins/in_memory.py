"""Methods that are handed over as classes or objects: what they are called, and a fingerprint of their source.

A class in a file is fingerprinted by the file, as `--method file.py:Class` is, so both have the same runs. A class of
a notebook or of a script that is run has no file of its own: its source counts, and that of whatever it uses there.
"""

from __future__ import annotations

import ast
import linecache
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from croftbench import authored, blame
from croftbench.errors import UsageError
from croftbench.files import digest
from croftbench.plugins.names import BUILT_IN, registered

PLAIN = (bool, int, float, str, bytes, type(None), tuple, frozenset)
"""Values whose text says all: a constant that a method uses is part of its source."""


def name_of(cls: type) -> str:
    """The registered name of a class that has one, else its own."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
    return next((name for name, of in registered().items() if of == target), own_name(file, cls.__name__))


def own_name(file: str, cls: str) -> str:
    """What a class of an author's is called: by its own name, behind its file's where a method has that already.

    Else it would take that method's recipes, and its place in tables.
    """
    return f"{Path(file).stem.strip('_')}.{cls}" if cls in registered() else cls


def source_of(cls: type) -> str:
    """12 digits that change with the source of a class; "" for a built-in method.

    Raises:
        UsageError: its source cannot be read, as in a shell that keeps none.
    """
    if f"{cls.__module__}:{cls.__qualname__}" in BUILT_IN.values():
        return ""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if file is not None and cls.__module__ != "__main__":
        return authored.source(Path(file))
    texts: dict[str, str] = {}
    _gather(cls, cls.__name__, vars(module) if module else {}, texts)
    return digest(texts)[:12]


def _gather(thing: Any, name: str, around: dict[str, Any], texts: dict[str, str]) -> None:
    """Put the source of a class or function into `texts`, and that of what it uses of the names `around` it."""
    texts[name] = _source(thing, name)
    for used in sorted(_names(thing) & around.keys() - texts.keys()):
        value = around[used]
        if isinstance(value, PLAIN):
            texts[used] = f"{used} = {value!r}"
        elif isinstance(value, type | FunctionType) and value.__module__ == "__main__":
            _gather(value, used, around, texts)
        elif (path := _beside_program(value)) is not None:
            texts[used] = authored.source(path)


def _beside_program(value: Any) -> Path | None:
    """The file of a module, or of what comes from one, in the folder of the program that runs; None for others."""
    module = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if file is None or not str(file).endswith(".py"):
        return None
    path, main = Path(file).resolve(), getattr(sys.modules["__main__"], "__file__", None)
    folder = Path(main).resolve().parent if main else Path.cwd().resolve()
    inside = path.is_relative_to(folder) and not blame.INSTALLED & set(path.relative_to(folder).parts)
    return path if inside and not path.is_relative_to(authored.PACKAGE) else None


def _source(thing: Any, name: str) -> str:
    """The text that defines a class or function. A notebook keeps its cells where `linecache` finds them."""
    functions = [thing] if isinstance(thing, FunctionType) else _functions(thing)
    for file in dict.fromkeys(function.__code__.co_filename for function in functions):
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except SyntaxError:  # a cell with commands of its notebook
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == thing.__name__:
                return ast.unparse(node)
    raise UsageError(
        f"the source of {name} cannot be read, so its runs could not be told apart from another version's.",
        "Put it in a file, or define it in a notebook cell.",
    )


def _functions(cls: type) -> list[FunctionType]:
    """Functions that a class defines, those behind properties and class methods too."""
    members = (getattr(member, "__func__", getattr(member, "fget", member)) for member in vars(cls).values())
    return [member for member in members if isinstance(member, FunctionType)]


def _names(thing: Any) -> set[str]:
    """Global names that the code of a class or function reads, and those of its base classes."""
    if isinstance(thing, FunctionType):
        return _of_code(thing.__code__)
    bases = {base.__name__ for base in thing.__bases__}
    return bases.union(*(_of_code(function.__code__) for function in _functions(thing)))


def _of_code(code: CodeType) -> set[str]:
    inner = (_of_code(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)
