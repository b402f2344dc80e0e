"""Methods by name: built-in, from an installed package, or from a user's file; and their hyper-parameters, typed.

A wrapper is a method around a method. It is named before it, as in wise-ft+croft, and adds its hyper-parameters.

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
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from croftbench import __version__
from croftbench.errors import UsageError, unknown
from croftbench.files import digest, write_atomically
from croftbench.plugins.parameters import Parameter, Value, construct, parameters, typed

if TYPE_CHECKING:
    from croftbench.method import Method

GROUP = "croftbench.methods"
BUILT_IN = {
    "zero-shot": "croftbench.methods.zero_shot:ZeroShot",
    "coop": "croftbench.methods.coop:CoOp",
    "cocoop": "croftbench.methods.cocoop:CoCoOp",
    "clip-adapter": "croftbench.methods.clip_adapter:CLIPAdapter",
    "tip-adapter": "croftbench.methods.tip_adapter:TipAdapter",
    "tip-adapter-f": "croftbench.methods.tip_adapter:TipAdapterF",
    "dplclip": "croftbench.methods.dplclip:DPLCLIP",
    "bayes-cal": "croftbench.methods.bayes_cal:BayesCAL",
    "croft": "croftbench.methods.croft:CRoFT",
    "linear-probe": "croftbench.methods.linear_probe:LinearProbe",
    "task-res": "croftbench.methods.task_res:TaskRes",
    "gl-mcm": "croftbench.methods.gl_mcm:GLMCM",
    "locoop": "croftbench.methods.locoop:LoCoOp",
    "kgcoop": "croftbench.methods.kgcoop:KgCoOp",
    "prograd": "croftbench.methods.prograd:ProGrad",
}
WRAPPERS = {
    "wise-ft": "croftbench.methods.wise_ft:WiSEFT",
}


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method without running it.

    Attributes:
        name: as tables show it.
        target: "module:Class" or "path/to/file.py:Class"; behind "wrapper+" where it is wrapped.
        source: digest of the defining file for methods from outside, "" for built-in ones.
        version, image, text, train, transductive: the method's version and needs.
        params: its hyper-parameters, nested dataclasses flattened.
        summary: the first line of its module's docstring.
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

    def recipe(self, recipes: Mapping[str, Mapping[str, Value]]) -> dict[str, Value]:
        """What a suite's recipes say of this method; of a wrapped one, first what they say of the method inside."""
        return {**recipes.get(unwrap(self.name)[1], {}), **recipes.get(self.name, {})}

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
                values[name] = typed(self.name, name, value, self.params[name])
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


def unwrap(name: str) -> tuple[str, str]:
    """The wrapper of a name or target, "" where it has none, and what is inside."""
    wrapper, _, inside = name.partition("+")
    return (wrapper, inside) if wrapper in WRAPPERS and inside else ("", name)


def known(name: str) -> bool:
    """Whether a method can be called by that name, wrapped or not."""
    return unwrap(name)[1] in registered()


def describe(name: str, cache: Path) -> MethodInfo:
    """Look a method up by registered name, or by "file.py:Class"; either may be wrapped.

    Raises:
        UsageError: there is no such method, or it does not meet the contract.
    """
    methods = registered()
    wrapper, inside = unwrap(name)
    if inside not in methods and ".py:" not in inside:
        if inside.rstrip("+") in WRAPPERS:
            raise UsageError(f"{inside} wraps another method.", f"Name it: {inside.rstrip('+')}+croft, for example.")
        raise unknown("method", inside, methods)
    prefix = f"{wrapper}+" if wrapper else ""
    target = prefix + methods.get(inside, inside)
    files = _files(target)
    key = digest([__version__, target, *(_sha(path) for path in (*files, *_contract()))])
    kept = cache / "methods" / f"{key[:16]}.json"
    if kept.is_file():
        data = json.loads(kept.read_text(encoding="utf-8"))
        params = {k: Parameter(v["default"], v["kind"], tuple(v["choices"])) for k, v in data.pop("params").items()}
        return MethodInfo(**data, params=params)
    cls = _load(target)
    needs = cls.needs
    info = MethodInfo(
        prefix + (inside if inside in methods else target.rpartition(":")[2]),
        target,
        "" if inside in BUILT_IN else _sha(files[-1])[:12],
        getattr(cls, "version", 1),
        needs.image,
        needs.text,
        needs.train,
        needs.transductive,
        parameters(cls),
        summary(target),
    )
    write_atomically(kept, json.dumps(asdict(info)))
    return info


def summary(target: str) -> str:
    """First line of the defining module's docstring, read without importing it."""
    return (ast.get_docstring(_parsed(target)) or "").partition("\n")[0]


def citation(target: str) -> str:
    """Title, venue and arXiv number: the docstring's second paragraph, "" where it is none with a year in it."""
    second = [*(ast.get_docstring(_parsed(target)) or "").split("\n\n"), ""][1]
    text = " ".join(second.partition("Code of the authors")[0].split())
    return text if re.search(r"\b(19|20)\d\d\b", text) else ""


def needs(target: str) -> str:
    """What a method declared beyond cached features and text, in words; of a wrapper, that it is the method's."""
    name = target.rpartition(":")[2]
    found = next((node for node in _parsed(target).body if isinstance(node, ast.ClassDef) and node.name == name), None)
    for node in found.body if found else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call) and ast.unparse(node.target) == "needs":
            given = {k.arg: k.value.value for k in node.value.keywords if isinstance(k.value, ast.Constant)}
            words = {
                "text tower": given.get("text") == "tower", "patches": given.get("image") == "patches",
                "no training": given.get("train") is False, "transductive": given.get("transductive") is True,
            }  # fmt: skip
            return ", ".join(word for word, declared in words.items() if declared) or "features"
    return "as the method inside" if target in WRAPPERS.values() else "see its file"


def _parsed(target: str) -> ast.Module:
    return ast.parse(_files(target)[0].read_text(encoding="utf-8"))


def build(info: MethodInfo, params: Mapping[str, Any]) -> Method:
    """The method with these hyper-parameters.

    Raises:
        UsageError: the method refuses them.
    """
    cls = _load(info.target)
    values = dict(params)
    try:
        return cast("Method", construct(cls, values))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{info.name} refuses its hyper-parameters: {error}.", "See `croftbench list methods`."
        ) from error


# ------------------------------------------------------------------------------------------ loading


def _files(target: str) -> list[Path]:
    """The files that define a target: the wrapper's, if it has one, then the method's."""
    wrapper, inside = unwrap(target)
    return [_file(WRAPPERS[wrapper]), _file(inside)] if wrapper else [_file(inside)]


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
    return [Path(__file__).parents[1] / "method.py", Path(__file__).parents[1] / "training.py"]


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _load(target: str) -> Any:
    """The class behind a target, checked against the contract."""
    wrapper, inside = unwrap(target)
    if wrapper:
        return _wrapped(_load(WRAPPERS[wrapper]), _load(inside))
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


def _wrapped(wrapper: Any, method: Any) -> Any:
    """The wrapper with the method's class for its field `method`; its version rises with either's."""
    inside = ("method", method, dataclasses.field(default_factory=method))
    both = {"needs": method.needs, "version": wrapper.version + getattr(method, "version", 1) - 1}
    return dataclasses.make_dataclass(wrapper.__name__, [inside], bases=(wrapper,), namespace=both, frozen=True)


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
