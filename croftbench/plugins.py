"""Methods by name: built-in, from an installed package, or from a user's file; and their hyper-parameters, typed.

Describing a method imports it, and with it torch, which takes seconds. A description is therefore kept in the
cache under the digest of the method's source, so that `croftbench list` and finished runs answer at once.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import importlib.util
import json
import math
import sys
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from croftbench import __version__
from croftbench.errors import UsageError, unknown
from croftbench.results import write_atomically
from croftbench.specs import digest

if TYPE_CHECKING:
    from croftbench.method import Method

GROUP = "croftbench.methods"
BUILT_IN = {
    "zero-shot": "croftbench.methods.zero_shot:ZeroShot",
    "coop": "croftbench.methods.coop:CoOp",
    "croft": "croftbench.methods.croft:CRoFT",
}

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter: its default, the type its values are read as, and its choices where it has some."""

    default: Value
    kind: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method without running it.

    Attributes:
        name: as tables show it.
        target: "module:Class" or "path/to/file.py:Class".
        source: digest of the defining file for methods from outside, "" for built-in ones.
        version, image, text, train, transductive: the method's version and needs.
        params: its hyper-parameters, nested dataclasses flattened.
        summary: the first line of its module's docstring, which for a paper's method is the citation.
    """

    name: str
    target: str
    source: str
    version: int
    image: str
    text: str
    train: bool
    transductive: bool
    params: Mapping[str, Parameter]
    summary: str

    def resolve(self, *layers: Mapping[str, Value | str]) -> dict[str, Value]:
        """All hyper-parameters: the defaults, overridden by each layer in turn.

        Raises:
            UsageError: a name that the method does not have, or a value of the wrong type.
        """
        values = {name: parameter.default for name, parameter in self.params.items()}
        for layer in layers:
            for name, value in layer.items():
                if name not in self.params:
                    raise unknown(f"hyper-parameter of {self.name}", name, self.params)
                values[name] = _typed(self.name, name, value, self.params[name])
        return values


def registered() -> dict[str, str]:
    """Name -> target of all methods that can be called by name.

    Raises:
        UsageError: two packages claim one name.
    """
    found = dict(BUILT_IN)
    for entry in entry_points(group=GROUP):
        if found.setdefault(entry.name, entry.value) != entry.value:
            raise UsageError(f"method '{entry.name}' is claimed twice: {found[entry.name]} and {entry.value}.")
    return found


def describe(name: str, cache: Path) -> MethodInfo:
    """Look a method up by registered name, or by "file.py:Class".

    Raises:
        UsageError: there is no such method, or it does not meet the contract.
    """
    methods = registered()
    if name not in methods and ".py:" not in name:
        raise unknown("method", name, methods)
    target = methods.get(name, name)
    file = _file(target)
    key = digest([__version__, target, *(_sha(path) for path in (file, *_contract()))])
    kept = cache / "methods" / f"{key[:16]}.json"
    if kept.is_file():
        data = json.loads(kept.read_text(encoding="utf-8"))
        parameters = {k: Parameter(v["default"], v["kind"], tuple(v["choices"])) for k, v in data.pop("params").items()}
        return MethodInfo(**data, params=parameters)
    cls = _load(target)
    needs = cls.needs
    info = MethodInfo(
        name if name in methods else target.rpartition(":")[2],
        target,
        "" if name in BUILT_IN else _sha(file)[:12],
        getattr(cls, "version", 1),
        needs.image,
        needs.text,
        needs.train,
        needs.transductive,
        _parameters(cls),
        summary(target),
    )
    write_atomically(kept, json.dumps(asdict(info)))
    return info


def summary(target: str) -> str:
    """First line of the defining module's docstring, read without importing it."""
    text = ast.get_docstring(ast.parse(_file(target).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def build(info: MethodInfo, params: Mapping[str, Any]) -> Method:
    """The method with these hyper-parameters.

    Raises:
        UsageError: the method refuses them.
    """
    cls = _load(info.target)
    values = dict(params)
    try:
        return cast("Method", _construct(cls, values))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{info.name} refuses its hyper-parameters: {error}.", "See `croftbench list methods`."
        ) from error


# ------------------------------------------------------------------------------------------ loading


def _file(target: str) -> Path:
    """The file that defines a target, found without importing it."""
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


def _contract() -> list[Path]:
    """Project files whose defaults become a method's defaults."""
    return [Path(__file__).with_name("method.py"), Path(__file__).with_name("training.py")]


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _load(target: str) -> Any:
    """The class behind a target, checked against the contract."""
    module_name, _, attribute = target.rpartition(":")
    try:
        module = _load_file(Path(module_name)) if module_name.endswith(".py") else importlib.import_module(module_name)
    except CroftbenchImportError:
        raise
    except Exception as error:
        raise CroftbenchImportError(
            f"importing {module_name} failed: {type(error).__name__}: {error}.", "Run with --traceback to see where."
        ) from error
    cls = getattr(module, attribute, None)
    if cls is None:
        raise unknown(f"class in {module_name}", attribute, [n for n in vars(module) if not n.startswith("_")])
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and hasattr(cls, "fit") and hasattr(cls, "needs")):
        raise UsageError(
            f"{target} is not a method: it must be a frozen dataclass with `needs` and `fit(task)`.",
            "See README, 'Your own method'.",
        )
    if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise UsageError(f"{target} must be a frozen dataclass.", "Write @dataclass(frozen=True) above the class.")
    return cls


class CroftbenchImportError(UsageError):
    """A user's method file raised while it was imported."""


def _load_file(path: Path) -> ModuleType:
    name = f"croftbench_user_{_sha(path)[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # a .py file always has a loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


# --------------------------------------------------------------------------------- hyper-parameters


def _parameters(cls: Any) -> dict[str, Parameter]:
    """Flat name -> parameter; fields of a nested dataclass stand beside the others."""
    hints, found = typing.get_type_hints(cls), {}
    for field in dataclasses.fields(cls):
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if default is dataclasses.MISSING:
            raise UsageError(f"hyper-parameter '{field.name}' of {cls.__name__} has no default.", "Give it one.")
        if dataclasses.is_dataclass(default):
            inner = _parameters(type(default))
            found.update({k: dataclasses.replace(p, default=getattr(default, k)) for k, p in inner.items()})
            continue
        hint = hints[field.name]
        choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
        kind = hint.__name__ if hint in (bool, int, float, str) else type(default).__name__
        found[field.name] = Parameter(default, kind, tuple(map(str, choices)))
    return found


def _construct(cls: Any, values: dict[str, Any]) -> Any:
    """Build `cls`, taking its fields out of `values`."""
    arguments = {}
    for field in dataclasses.fields(cls):
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if dataclasses.is_dataclass(default):
            arguments[field.name] = _construct(type(default), values)
        else:
            arguments[field.name] = values[field.name]
    return cls(**arguments)


def _typed(method: str, name: str, value: Value | str, parameter: Parameter) -> Value:
    """`value` as the parameter's type; text from the command line is converted."""
    words = {"true": True, "false": False}
    try:
        if parameter.kind == "bool":
            typed: Value = value if isinstance(value, bool) else words[str(value).lower()]
        elif parameter.kind == "int":
            typed = value if isinstance(value, int) and not isinstance(value, bool) else int(str(value))
        elif parameter.kind == "float":
            typed = float(cast("str", value))
            if not math.isfinite(typed):
                raise ValueError
        else:
            typed = str(value)
    except (ValueError, KeyError):
        raise UsageError(
            f"'{value}' is not a value for {method}'s {name}: it is of type {parameter.kind}.",
            f"Its default is {parameter.default}.",
        ) from None
    if parameter.choices and typed not in parameter.choices:
        raise unknown(f"value of {method}'s {name}", str(typed), parameter.choices)
    return typed
