"""What the file of a method says of it, read without importing it: that would import torch.

Of a file only the little that is wanted is parsed: whole files would be a third of `croftbench list methods`.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import re
import tokenize
from pathlib import Path

from croftbench.errors import UsageError
from croftbench.plugins.names import WRAPPERS, unwrap

DOCSTRING = re.compile(r"(?:\s|#[^\n]*\n)*([rRuU]?(\"{3}|'{3}).*?\2)", re.DOTALL)
"""At the beginning of a file."""

CLASS = re.compile(r"^class (\w+)", re.MULTILINE)
METHOD = re.compile(r"^(    (def|@)|[^\s)])", re.MULTILINE)
"""The first method of a class, or what follows a class without one."""


def summary(target: str) -> str:
    """First line of the defining module's docstring."""
    return _docstring(target).partition("\n")[0]


def citation(target: str) -> str:
    """Title, venue and arXiv number: the docstring's second paragraph, "" where it is none with a year in it."""
    second = [*_docstring(target).split("\n\n"), ""][1]
    text = " ".join(second.partition("Code of the authors")[0].split())
    return text if re.search(r"\b(19|20)\d\d\b", text) else ""


def needs(target: str) -> str:
    """What a method declared beyond cached features and text, in words; of a wrapper, that it is the method's."""
    for node in _fields(target):
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call) and ast.unparse(node.target) == "needs":
            given = {k.arg: k.value.value for k in node.value.keywords if isinstance(k.value, ast.Constant)}
            words = {
                "text tower": given.get("text") == "tower", "patches": given.get("image") == "patches",
                "image transformer": given.get("image") == "tower",
                "before the projection": given.get("image") == "unprojected",
                "patches before the projection": given.get("image") == "unprojected-patches",
                f"else {given.get('otherwise')!s}": bool(given.get("otherwise")),
                "no training": given.get("train") is False, "transductive": given.get("transductive") is True,
            }  # fmt: skip
            return ", ".join(word for word, declared in words.items() if declared) or "features"
    return "as the method inside" if target in WRAPPERS.values() else "see its file"


def defining_files(target: str) -> list[Path]:
    """The files that define a target: the wrapper's, if it has one, then the method's.

    Raises:
        UsageError: there is no such file or module.
    """
    wrapper, inside = unwrap(target)
    return [_file(WRAPPERS[wrapper]), _file(inside)] if wrapper else [_file(inside)]


def _file(target: str) -> Path:
    """The file that defines a target without a wrapper."""
    module, _, _ = target.rpartition(":")
    if module.endswith(".py"):
        path = Path(module)
        if not path.is_file():
            raise UsageError(f"there is no file {module}.", "Give --method path/to/file.py:Class.")
        return path
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise UsageError(f"method module '{module}' is not installed.", "Install the package that declares it.")
    return Path(spec.origin)


def _docstring(target: str) -> str:
    """Of the defining module."""
    found = DOCSTRING.match(_source(target))
    try:
        if found:
            return inspect.cleandoc(ast.literal_eval(found[1]))
        return ast.get_docstring(ast.parse(_source(target))) or ""
    except SyntaxError:  # its import will say so
        return ""


def _fields(target: str) -> list[ast.stmt]:
    """What stands in the defining class before its first method."""
    name = target.rpartition(":")[2]
    source = _source(target)
    for found in CLASS.finditer(source):
        if found[1] == name:
            end = METHOD.search(source, found.end())
            (node,) = ast.parse(source[found.start() : end.start() if end else None]).body
            return node.body if isinstance(node, ast.ClassDef) else []
    return []


@functools.cache
def _source(target: str) -> str:
    with tokenize.open(defining_files(target)[0]) as file:
        return file.read()
