"""What is known of a method without running it: its needs and its typed hyper-parameters.

Describing a method imports it, and with it torch, which takes seconds. A description is therefore kept in the cache
under the digest of the method's source, so that a run that is finished already answers at once.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from croftbench import __version__, authored
from croftbench.blame import raised
from croftbench.errors import CroftbenchError, UsageError, unknown
from croftbench.files import digest, file_digest, recall, remember
from croftbench.plugins.in_memory import name_of, own_name, source_of
from croftbench.plugins.load import check_contract, imported_files, load
from croftbench.plugins.names import BUILT_IN, WRAPPERS, registered, unwrap
from croftbench.plugins.parameters import Parameter, Value, construct, parameters, typed
from croftbench.plugins.recipes import Settings, declared
from croftbench.plugins.stated import defining_files, summary

if TYPE_CHECKING:
    from croftbench.method import Method


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method without running it.

    Attributes:
        name: as tables show it.
        target: "module:Class" or "path/to/file.py:Class"; behind "wrapper+" where it is wrapped.
        source: digest of the defining file for methods from outside, "" for built-in ones.
        version, image, text, train, transductive, otherwise: the method's version and needs.
        params: its hyper-parameters, nested dataclasses flattened.
        code: digest of this package's code behind it; recorded with a run, and no part of its identity.
        summary: the first line of its module's docstring.
        recipes: its named recipes; see `plugins.recipes`.
        cls: the class itself, of a method that was handed over as a class or an object.
        fixed: its values are those of an object that a user made, which no suite's recipe changes.
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
    recipes: Mapping[str, Settings] = field(default_factory=dict)
    cls: type | None = field(default=None, compare=False, repr=False)
    fixed: bool = False
    code: str = ""
    otherwise: str = ""

    @property
    def author(self) -> type:
        """The class itself, imported; whose author a fault of the method is told to."""
        return self.cls or cast("type", load(self.target))

    @property
    def file(self) -> str:
        """As it was given, path/to/file.py:Class; "" for a method that has a name, or that was handed over."""
        return self.target if ".py:" in self.target else ""

    @property
    def needs(self) -> dict[str, str | bool]:
        """What it declared, for a run's record."""
        return {"image": self.image, "text": self.text, "train": self.train, "transductive": self.transductive}

    def said_by(self, suite: Mapping[str, Settings]) -> dict[str, Value | Mapping[str, Value]]:
        """What a suite's tables say of this method; of a wrapped one, first what they say of the method inside."""
        return {} if self.fixed else {**suite.get(unwrap(self.name)[1], {}), **suite.get(self.name, {})}

    def named_recipe(self, name: str) -> Settings:
        """What the method sets under a recipe's name.

        Raises:
            UsageError: it has none of that name.
        """
        if name not in self.recipes:
            own = "An object brings its own values" if self.fixed else "It has none"
            hint = f"It has: {', '.join(self.recipes)}." if self.recipes else f"{own}: run it without --recipe."
            raise UsageError(f"{self.name} has no recipe '{name}'.", hint)
        return self.recipes[name]

    def value(self, name: str, value: Value | str) -> Value:
        """A value as the type of the hyper-parameter.

        Raises:
            UsageError: a name that the method does not have, or a value of the wrong type.
        """
        if name not in self.params:
            raise unknown(f"hyper-parameter of {self.name}", name, self.params)
        return typed(self.name, name, value, self.params[name])

    def resolve(self, *layers: Mapping[str, Value | str]) -> dict[str, Value]:
        """The hyper-parameters that a run records: the defaults, overridden by each layer in turn.

        Those that are `later` and as they are by default are not among them.

        Raises:
            UsageError: a name that the method does not have, or a value of the wrong type.
        """
        values = {name: parameter.default for name, parameter in self.params.items()}
        for layer in layers:
            values |= {name: self.value(name, value) for name, value in layer.items()}
        same = {name for name, of in self.params.items() if of.later and values[name] == of.default}
        return {name: value for name, value in values.items() if name not in same}


def describe(method: str | type[Method] | Method, cache: Path | None) -> MethodInfo:
    """Look a method up by registered name or "file.py:Class", either wrapped or not; or take a class or an object.

    Without a cache it is imported. An object's own values become its hyper-parameters: no recipe changes them.

    Raises:
        UsageError: there is no such method, or it does not meet the contract.
    """
    return _by_name(method, cache) if isinstance(method, str) else _handed_over(method)


def _by_name(name: str, cache: Path | None) -> MethodInfo:
    methods = registered()
    wrapper, inside = unwrap(name)
    if inside not in methods and ".py:" not in inside:
        if inside.rstrip("+") in WRAPPERS:
            raise UsageError(f"{inside} wraps another method.", f"Name it: {inside.rstrip('+')}+croft, for example.")
        if inside.endswith(".py"):
            raise authored.without_class(inside, "--method")
        raise unknown("method", inside, methods)
    prefix = f"{wrapper}+" if wrapper else ""
    target = prefix + methods.get(inside, inside)
    files = defining_files(target)
    ours = {*files, *(path for file in files for path in imported_files(file))}
    theirs = authored.beside(files[-1]) if inside not in BUILT_IN else set()
    key = digest([__version__, "with code", target, *map(file_digest, sorted(ours | theirs))])
    kept = cache / "methods" / f"{key[:16]}.json" if cache else None
    data = recall(kept) if kept else None
    if data is not None:
        params = {k: Parameter(**v | {"choices": tuple(v["choices"])}) for k, v in data.pop("params").items()}
        return MethodInfo(**data, params=params)
    shown = prefix + (inside if inside in methods else own_name(*inside.rsplit(":", 1)))
    source = "" if inside in BUILT_IN else authored.source(files[-1])
    info = replace(_described(load(target), shown, target, source, summary(target)), code=_code(ours))
    fields = {name: value for name, value in asdict(info).items() if name not in ("cls", "fixed")}
    if kept:
        remember(kept, fields)
    return info


DECIDING = ("method", "towers", "training", "prompting", "layers")
"""Modules, beside those of the methods themselves, whose code decides a method's numbers."""


def _code(files: set[Path]) -> str:
    return authored.code(file for file in files if file.parent.name == "methods" or file.stem in DECIDING)


def _handed_over(method: type[Method] | Method) -> MethodInfo:
    """A class, or an object whose values are its hyper-parameters."""
    cls = method if isinstance(method, type) else type(method)
    check_contract(cls, cls.__name__)
    if cls.__module__ == "croftbench.methods.wise_ft":
        raise UsageError(f"{cls.__name__} wraps another method.", "Name it: 'wise-ft+croft', for example.")
    name, source = name_of(cls), source_of(cls)
    about = (cls.__doc__ or "").partition("\n")[0]
    info = _described(
        cls, name, f"{cls.__module__}:{cls.__qualname__}", source, about, method if cls is not method else None
    )
    fixed = cls is not method
    path = Path(str(getattr(sys.modules.get(cls.__module__), "__file__", "")))
    code = "" if source else _code({path, *imported_files(path)})
    return replace(info, cls=cls, fixed=fixed, recipes={} if fixed else info.recipes, code=code)


def _described(cls: Any, name: str, target: str, source: str, about: str, example: Any = None) -> MethodInfo:
    needs = cls.needs
    return MethodInfo(
        name, target, source, getattr(cls, "version", 1), needs.image, needs.text, needs.train, needs.transductive,
        parameters(cls, example), about, declared(cls), otherwise=needs.otherwise,
    )  # fmt: skip


def meanings(cls: Any) -> dict[str, str]:
    """What a class says of its fields under "Attributes:", by name; of nested dataclasses too."""
    said: dict[str, str] = {}
    for field_ in dataclass_fields(cls):
        inner = type(field_.default_factory()) if field_.default_factory is not MISSING else None
        if inner is not None and is_dataclass(inner):
            said |= meanings(inner)
    text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    for entry in re.split(r"\n(?=    \S)", text.partition("\n\n")[0]):
        names, colon, meaning = entry.strip().partition(": ")
        if colon:
            said |= dict.fromkeys(re.split(r",\s*", names), " ".join(meaning.split()))
    return said


def build(info: MethodInfo, params: Mapping[str, Any]) -> Method:
    """The method with these hyper-parameters.

    Raises:
        UsageError: the method refuses them.
        MethodError: its class raised something else.
    """
    cls = info.author
    try:
        later = {name: of.default for name, of in info.params.items() if of.later}
        return cast("Method", construct(cls, later | dict(params)))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{info.name} refuses its hyper-parameters: {error}.", "See `croftbench list methods`."
        ) from error
    except CroftbenchError:
        raise
    except BaseException as error:
        raise raised(error, cls) from error
