"""What to run: suite, method, encoder and overrides -> the RunSpecs, and which of them are finished. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.data import decoding
from croftbench.errors import UsageError, unknown
from croftbench.plugins import MethodInfo
from croftbench.plugins.parameters import Value
from croftbench.plugins.recipes import at_shots
from croftbench.runs import results
from croftbench.runs.spec import RunSpec
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.encoders.identity import Identity

LARGEST_SEED = 2**32 - 10_000
"""NumPy's streams take 32 bits, and each role of images has its own, some thousands from the seed."""
UNTRAINED = "Methods that learn nothing run there: `croftbench list methods` says 'no training' of them."
MOST = 100_000
"""Shots or views of an image beyond any use: each view is encoded and kept."""


@dataclass(frozen=True)
class Job:
    """One run and the method it runs."""

    spec: RunSpec
    info: MethodInfo

    def finished(self, folder: Path) -> bool:
        """Whether its result is already there."""
        return results.path_of(folder, self.spec).is_file()


def plan(
    suite: Suite,
    info: MethodInfo,
    identity: Identity,
    content: Callable[[str, bool], str],
    *,
    seeds: Sequence[int] | None = None,
    shots: int | None = None,
    views: int | None = None,
    recipe: str | None = None,
    overrides: Mapping[str, Value | str] | None = None,
) -> list[Job]:
    """The runs of one method on one suite: one for each seed and fold. See `hyperparameters`.

    `content` says of a fold, with or without its training images, which images it is drawn from: `Draws.content`.

    Raises:
        UsageError: a recipe or an override that the method does not have, or a value of the wrong type; seeds, shots or
            views that cannot be; an encoder or a suite that lacks what the method needs.
    """
    _possible(seeds, shots, views)
    info = on(identity, info)
    if reason := lacking(suite, info):
        raise UsageError(f"{info.name} cannot run: {reason}.", UNTRAINED)
    if reason := identity.lacking(info.image, info.text):
        hint = f"It needs {requirement(info)}: name an encoder that has it, such as -e ViT-B-16/openai."
        raise UsageError(f"{info.name} cannot run with {identity.id}: {reason}.", hint)
    drawn = {fold.name: content(fold.name, info.train) for fold in suite.folds}
    used, params = hyperparameters(suite, info, shots or suite.protocol.shots, recipe, overrides)
    return [
        Job(
            RunSpec(
                suite.name, suite.digest, fold.name, info.name, info.version, info.source, params,
                identity.id, identity.weights_digest, _transform(identity, drawn[fold.name]),
                shots or suite.protocol.shots, seed, views or suite.protocol.views,
                data=drawn[fold.name], model=identity.model, recipe=used,
            ),
            info,
        )
        for seed in seeds or suite.protocol.seeds
        for fold in suite.folds
    ]  # fmt: skip


def lacking(suite: Suite, info: MethodInfo) -> str:
    """Why a suite has not what a method needs; "" where it has."""
    return f"{suite.name} has no training images" if info.train and not suite.trains else ""


def on(identity: Identity, info: MethodInfo) -> MethodInfo:
    """A method as it runs with an encoder: given images as `Needs.otherwise` says where that lacks what comes first."""
    if info.otherwise and identity.lacking(info.image, ""):
        return replace(info, image=info.otherwise, otherwise="")
    return info


def _transform(identity: Identity, data: str) -> str:
    """How images become pixels; files on somebody's disk by rules that those which ship do not meet."""
    return f"{identity.transform} {decoding.RULES}" if data else identity.transform


def requirement(info: MethodInfo) -> str:
    """What a method needs of an encoder, in words."""
    images = {
        "tower": "an image transformer", "patches": "patches", "unprojected": "features before a projection",
        "unprojected-patches": "an image transformer with a projection",
    }  # fmt: skip
    text = ["a text tower to learn prompts through"] if info.text == "tower" else []
    return " and ".join([*([images[info.image]] if info.image in images else []), *text])


def _possible(seeds: Sequence[int] | None, shots: int | None, views: int | None) -> None:
    """Refuse what no run can have."""
    if seeds is not None and (not isinstance(seeds, list | tuple | range) or not seeds):
        raise UsageError(f"seeds={seeds!r} is no list of seeds.", "Example: seeds=[1]; None takes the suite's own.")
    for seed in seeds or ():
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
            raise UsageError(f"{seed!r} is no seed.", f"Seeds are whole numbers from 0 to {LARGEST_SEED}.")
    if twice := [seed for seed, count in Counter(seeds or ()).items() if count > 1]:
        raise UsageError(f"seed {twice[0]} is given twice.", "A seed gives one run; give each once.")
    for name, count in (("shots", shots), ("views", views)):
        if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
            raise UsageError(f"{name} must be a whole number, not {count!r}.", "Left out, it is the suite's own.")
        if count is not None and count < 1:
            raise UsageError(f"{name} must be at least 1, not {count}.", "Left out, it is the suite's own.")
        if count is not None and count > MOST:
            raise UsageError(f"{name} must be at most {MOST:,}, not {count:,}.", "Left out, it is the suite's own.")


def hyperparameters(
    suite: Suite,
    info: MethodInfo,
    shots: int,
    recipe: str | None = None,
    overrides: Mapping[str, Value | str] | None = None,
) -> tuple[str, dict[str, Value]]:
    """The name of the recipe that a method runs by on a suite, "" for none, and the hyper-parameters.

    These are the method's defaults; its recipe of that name, the suite's own where None was asked for; what its
    authors set for these data, if that recipe is theirs; what the suite sets, if the recipe is its own; `overrides`.

    Raises:
        UsageError: a recipe or an override that the method does not have, or a value of the wrong type.
    """
    if recipe is not None:
        info.named_recipe(recipe)  # it must have it
    used = recipe or (suite.recipe if suite.recipe in info.recipes else "")
    by_authors = info.said_by(suite.authors) if used == "authors" else {}
    by_suite = info.said_by(suite.recipes) if used in ("", suite.recipe) else {}
    layers = (info.recipes.get(used, {}), by_authors, by_suite)
    params = info.resolve(*(at_shots(layer, shots) for layer in layers), overrides or {})
    if recipe not in (None, suite.recipe):
        own, same = hyperparameters(suite, info, shots, overrides=overrides)
        used = own if same == params else used  # two names for one configuration
    return used, params


def overrides(settings: Iterable[str], infos: Sequence[MethodInfo]) -> dict[str, dict[str, str]]:
    """Sort `--set` arguments by method.

    "name=value" is for every chosen method that has it, "method.name=value" for one, where it counts.

    Raises:
        UsageError: an argument without "=", a name that is given twice, a method that was not chosen, or a name that
            no chosen method has.
    """
    by_method: dict[str, dict[str, str]] = {info.name: {} for info in infos}
    given: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {setting} is not of the form name=value.", "Example: --set lambda2=0.03")
        if name in given:
            raise UsageError(f"--set {name} is given twice, as {given[name]} and as {value}.", "Give it once.")
        given[name] = value
    for name in sorted(given, key=lambda name: "." in name):  # what is for one method comes after what is for all
        value = given[name]
        method, dot, parameter = name.rpartition(".")
        if dot and method not in by_method:
            raise unknown("method in --set", method, by_method)
        takers = [info for info in infos if (info.name == method if dot else name in info.params)]
        if not takers:
            raise unknown("hyper-parameter", name, {p for info in infos for p in info.params})
        for info in takers:
            by_method[info.name][parameter] = value
    return by_method
