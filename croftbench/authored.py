"""Files that a user wrote: imported with the modules beside them, and fingerprinted with these.

A module counts as beside a file where an import statement names it and it lies in the file's own folder or package.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType

from croftbench import blame
from croftbench.blame import INSTALLED
from croftbench.errors import UsageError
from croftbench.files import digest, file_digest

PACKAGE = Path(__file__).parent
KINDS = {"--method": "method", "--scorers": "score"}
"""What the class of a user's file is, by the option that names it."""


class MethodImportError(UsageError):
    """An author's file raised while it was imported."""


def load(path: Path) -> ModuleType:
    """A file's module, imported anew whenever it, or a module beside it, was edited.

    Raises:
        MethodImportError: it raised something, or wanted to exit.
    """
    name, folder = f"croftbench_user_{source(path)}", str(path.resolve().parent)
    if name in sys.modules:
        return sys.modules[name]
    for file in beside(path):
        stale = [key for key, module in sys.modules.items() if getattr(module, "__file__", None) == str(file)]
        named = ".".join(file.relative_to(folder).with_suffix("").parts) if file.is_relative_to(folder) else ""
        for key in {*stale, named.removesuffix(".__init__")} & sys.modules.keys():
            del sys.modules[key]  # another folder's module of that name, or what it was before an edit
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # a .py file always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    sys.path.insert(0, folder)
    try:
        with importing(path):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for what is imported only when it is called
    return module


def without_class(file: str, flag: str) -> UsageError:
    """A file was named and not its class: which there are, without importing it."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except OSError:
        return UsageError(f"there is no file {file}.", f"Give {flag} path/to/file.py:Class.")
    except SyntaxError as error:
        return UsageError(f"{file} is no Python, line {error.lineno}: {error.msg}.", "Mend it, and name its class.")
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    fitting = [node.name for node in classes if any(getattr(one, "name", "") == "fit" for one in node.body)]
    if not fitting:
        return UsageError(f"{file} holds no class with `fit`.", f"See docs/own-{KINDS[flag]}.md.")
    return UsageError(f"{file} names no class.", f"Give: {flag} {' or '.join(f'{file}:{name}' for name in fitting)}")


@contextmanager
def importing(what: str | Path) -> Iterator[None]:
    """Around an import of an author's code: what it prints goes to stderr, what it changes for all is put back.

    Raises:
        MethodImportError: it raised something, or wanted to exit.
    """
    folder = Path.cwd()
    loaded = sys.modules.get("torch")
    grad = bool(loaded.is_grad_enabled()) if loaded is not None and hasattr(loaded, "is_grad_enabled") else True
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        os.chdir(folder)  # paths are told from here
        where = blame.line(error, what) if isinstance(what, Path) else ""
        text = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}{where and f', at {where}'}"
        raise MethodImportError(f"importing {what} failed: {text}.", "Run with --traceback to see where.") from error
    finally:
        os.chdir(folder)
        if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "set_default_dtype"):
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(grad)


# ------------------------------------------------------------------------------------- fingerprints


def source(path: Path) -> str:
    """12 digits that change with a file, and with any module beside it that it imports, directly or not."""
    others = sorted(beside(path))
    if not others:
        return file_digest(path)[:12]
    return digest([file_digest(path), *([file.name, file_digest(file)] for file in others)])[:12]


def code(paths: Iterable[Path]) -> str:
    """12 digits that change with what some files of Python do, and not with their comments and docstrings."""
    return digest(sorted((path.stem, _stripped(path, file_digest(path))) for path in paths))[:12]


def beside(path: Path) -> set[Path]:
    """The modules beside a file that it imports, directly or not."""
    whole = path.resolve()
    root, package = whole.parent, ""
    while (root / "__init__.py").is_file():
        root, package = root.parent, root.name
    if root.name in INSTALLED and not package:
        return set()
    only = package if root.name in INSTALLED else ""
    reached: set[Path] = set()
    waiting = [whole]
    while waiting:
        file = waiting.pop()
        new = set(_imports(file, file_digest(file), root, only)) - reached - {whole}
        reached |= new
        waiting += new
    return reached


@cache
def _imports(path: Path, content: str, root: Path, only: str) -> tuple[Path, ...]:
    """Files below `root` that a file's import statements name; `content` is its digest."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # importing it says so
        return ()
    places: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [(root, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1] if node.level else root
            inner = [f"{node.module}." if node.module else ""] * len(node.names)
            modules = [(base, node.module or "")] + [
                (base, f"{of}{alias.name}") for of, alias in zip(inner, node.names, strict=True)
            ]
        else:
            continue
        for base, module in modules:
            parts = module.split(".")
            if base == root and only and parts[0] != only:
                continue
            places += [base.joinpath(*parts[:n]) for n in range(1, len(parts) + 1) if module]
    found = (file for place in places for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
    return tuple(dict.fromkeys(file.resolve() for file in found if not file.resolve().is_relative_to(PACKAGE)))


@cache
def _stripped(path: Path, content: str) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
