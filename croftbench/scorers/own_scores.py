"""Scores that a user wrote: a frozen dataclass with `fit(context)`, in a file or in a notebook.

    @dataclass(frozen=True)
    class MyScore:
        uses: ClassVar = ("train",)  # of "train" (training images), "classes" (class features), "text" (the text tower)
        k: int = 10                  # parameters, with defaults: ./mine.py:MyScore:k=5

        def fit(self, context):      # a `Context`
            bank = context.outputs.features
            return lambda outputs: (outputs.features @ bank.T).topk(self.k).values[:, -1]  # (B,), higher = known

It sees copies, and of `Context` and `Outputs` only what it declares. No torch until it is imported.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import authored, blame
from croftbench.errors import UsageError, unknown
from croftbench.scorers.catalogue import SCORERS, Asked, ScorerSpec, parse, parts, settings
from croftbench.scorers.context import Context, Scorer
from croftbench.values import Value

if TYPE_CHECKING:
    from torch import Tensor

    from croftbench.method import Outputs

USES = ("logits", "train", "classes", "text")
FILE = re.compile(r"(?P<file>.+\.py)(?::(?P<cls>\w+))?(?::(?P<settings>.*))?", re.S)
"""path/to/file.py:Class:parameter=value,..."""


def split(names: str) -> list[Asked]:
    """Read names that commas separate, "all" among them; each once. See `catalogue.parts`.

    Raises:
        UsageError: see `catalogue.parse`; or a file or class that is not there or is no score.
    """
    return _once(asked(name) for name in parts(names))


def asked(name: str) -> Asked:
    """Read one name: a score that ships, or "path/to/file.py:Class", either with parameters behind a colon.

    Raises:
        UsageError: see `split`.
    """
    found = FILE.fullmatch(name)
    if found is None:
        return parse(name)
    path, cls = Path(found["file"]), found["cls"]
    if not path.is_file():
        raise UsageError(f"there is no file {path}.", "Give --scorers path/to/file.py:Class.")
    if not cls:
        raise authored.without_class(found["file"], "--scorers")
    module = authored.load(path)
    if not hasattr(module, cls):
        raise unknown(f"class in {path}", cls, [n for n, one in vars(module).items() if hasattr(one, "fit")])
    shown = f"{path.stem.strip('_')}.{cls}" if cls in SCORERS else cls
    spec = _spec(getattr(module, cls), name.partition(".py:")[0] + f".py:{cls}", authored.source(path))
    return Asked(shown, settings(shown, spec, found["settings"] or ""), spec)


def handed_over(score: Any, code: str) -> Asked:
    """A class, or an object whose values are its parameters; `code` are digits that change with its source.

    Raises:
        UsageError: it is no score.
    """
    cls = score if isinstance(score, type) else type(score)
    spec = _spec(cls, cls.__name__, code)
    own = {} if cls is score else {name: getattr(score, name) for name in spec.parameters}
    name = f"own.{cls.__name__}" if cls.__name__ in SCORERS else cls.__name__
    return Asked(name, settings(name, spec, "") | own, spec)


def _once(scores: Iterable[Asked]) -> list[Asked]:
    return list({one.label: one for one in scores}.values())


def _spec(cls: Any, shown: str, code: str) -> ScorerSpec:
    """What a user's class is, checked.

    Raises:
        UsageError: it is no score; the message says what to write.
    """
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and hasattr(cls, "fit")):
        raise UsageError(
            f"{shown} is not a score: it must be a frozen dataclass with `fit(context)`.",
            "`croftbench new scorer my-score` writes one.",
        )
    if hasattr(cls, "needs"):
        raise UsageError(f"{shown} is a method, not a score: it has `needs`.", "Give it to --method.")
    if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise UsageError(f"{shown} must be a frozen dataclass.", "Write @dataclass(frozen=True) above the class.")
    for field in dataclasses.fields(cls):
        if not isinstance(field.default, bool | int | float | str):
            raise UsageError(
                f"parameter '{field.name}' of {shown} has no default that a record can hold.",
                "Give it a bool, int, float or str.",
            )
    uses = getattr(cls, "uses", ())
    if not isinstance(uses, tuple) or not set(uses) <= set(USES):
        raise UsageError(f"{shown} uses {uses!r}.", f"Write a tuple of: {', '.join(map(repr, USES[1:]))}.")
    version = int(getattr(cls, "version", 1))
    return ScorerSpec(partial(_fitted, cls, uses), uses, version, author=cls, code=code)


def _fitted(cls: Any, uses: tuple[str, ...], context: Context, **params: Value) -> Scorer:
    """The score, fitted on copies of what it declares; it is handed copies, too."""
    scorer = built(cls, params).fit(Declared(context, uses))
    if not callable(scorer):
        raise blame.raised(TypeError(f"fit gave a {type(scorer).__name__}, not a function of outputs"), cls)
    return lambda outputs: scorer(copied(outputs, uses))


def built(cls: Any, params: typing.Mapping[str, Value]) -> Any:
    """An object of a user's class.

    Raises:
        UsageError: it refuses the parameters.
    """
    try:
        return cls(**params)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{cls.__name__} refuses its parameters: {error}.", "Give others.") from error


def copied(outputs: Outputs, uses: tuple[str, ...]) -> Outputs:
    """The same numbers, to be written on as one likes; without class features where these are not declared."""
    shown = outputs.classes if "classes" in uses else None
    kept = None if shown is None else shown.clone()
    return dataclasses.replace(
        outputs, logits=outputs.logits.clone(), features=outputs.features.clone(), classes=kept, scores={}
    )


class Declared(Context):
    """What a score may look at, of that what it declared in `uses`."""

    def __init__(self, context: Context, uses: tuple[str, ...]) -> None:
        self._whole, self._uses = context, uses
        self.logit_scale, self.classnames, self.templates = context.logit_scale, context.classnames, context.templates

    @property
    def labels(self) -> Tensor:  # type: ignore[override]
        """(N,) classes of the training images."""
        self._check("train", "training images")
        return self._whole.labels.clone()

    @property
    def outputs(self) -> Outputs:
        """Of the N training images."""
        self._check("train", "training images")
        return copied(self._whole.outputs, self._uses)

    @property
    def encode_text(self) -> Any:  # type: ignore[override]
        """P texts -> (P, D) raw text features of the frozen encoder."""
        self._check("text", "the text tower")
        return self._whole.encode_text

    def _check(self, use: str, what: str) -> None:
        if use not in self._uses:
            uses = ", ".join(repr(one) for one in (*self._uses, use))
            raise UsageError(f"it uses {what} without declaring it.", f"Write uses: ClassVar = ({uses},) in its class.")
