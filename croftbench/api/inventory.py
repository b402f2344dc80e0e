"""What there is by name: suites, methods, scorers, splits, encoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import plugins

if TYPE_CHECKING:
    from croftbench.api.running import MethodLike
    from croftbench.data.description import FamilyDescription, SuiteDescription
    from croftbench.locations import Folder, Folders
    from croftbench.suites.language import Suite

Row = dict[str, Any]


def methods() -> list[Row]:
    """Every method: name, what it needs beyond cached features, what it is, its paper."""
    wrapped = {f"{name}+…": target for name, target in plugins.WRAPPERS.items()}
    return [
        {
            "name": name,
            "needs": plugins.needs(target),
            "what": plugins.summary(target),
            "citation": plugins.citation(target),
        }
        for name, target in {**plugins.registered(), **wrapped}.items()
    ]


def hyperparameters(method: MethodLike, *, cache: Folder = None) -> list[Row]:
    """A method's hyper-parameters: name, type (or choices), default, range, what it is; imports the method.

    Raises:
        UsageError: there is no such method.
    """
    info = plugins.describe(method, _folders(cache=cache).cache)
    said = plugins.meanings(info.author)
    return [
        {
            "name": name,
            "type": " | ".join(of.choices) or of.kind,
            "default": of.default,
            "range": of.range,
            "what": said.get(name, ""),
        }
        for name, of in info.params.items()
    ]


def suites(*, manifests: Folder = None) -> list[Row]:
    """Every suite: name, version, size of its protocol, what it is."""
    from croftbench.suites import manifest

    folder = _folders(manifests=manifests).manifests
    rows: list[Row] = []
    for name in manifest.names("suites", folder):
        suite = manifest.suite(name, folder)
        folds, protocol = len(suite.folds), suite.protocol
        seeds = ", ".join(map(str, protocol.seeds))
        size = f"{folds} fold{'s' if folds > 1 else ''}, {protocol.shots} shots, seeds {seeds}"
        rows.append({"name": suite.name, "version": suite.version, "protocol": size, "what": suite.title})
    return rows


def splits(*, manifests: Folder = None) -> list[Row]:
    """Every dataset family: name, number of its parts, licence, what it is."""
    from croftbench.suites import manifest, registry

    folder = _folders(manifests=manifests).manifests
    families = (registry.family(name, folder) for name in manifest.names("splits", folder))
    return [{"name": f.name, "parts": len(f.parts), "licence": f.licence, "what": f.title} for f in families]


def scorers() -> list[Row]:
    """Every detection score: name, what it is, its paper, what it uses, its parameters and their defaults."""
    from croftbench.scorers import described

    return list(described())


def encoders() -> list[Row]:
    """Every encoder that needs no path; imports open_clip."""
    from croftbench.encoders import available
    from croftbench.encoders.identity import EARLIER, EMBEDDED

    published = dict.fromkeys(available(), "open_clip's published weights")
    own = {
        EMBEDDED: "ships with croftbench: 104 px, ImageNet's EfficientNet-Lite0 taught open icons",
        EARLIER: "ships with croftbench: 64 px, trained on open icons alone; about twice as fast",
    }
    return [{"name": name, "what": what} for name, what in {**published, **own}.items()]


def _folders(**given: Folder) -> Folders:
    from croftbench.locations import Folders

    return Folders.of(**given)


def load_suite(name: str | Path, *, manifests: Folder = None) -> Suite:
    """The suite of that name, or of a file that ends in ".toml".

    Raises:
        UsageError: there is none of that name.
        ManifestError: its file breaks a rule; the message says which, and in which line.
    """
    from croftbench.api.suite_choice import suite_of

    return suite_of(name, _folders(manifests=manifests))


def describe(name: str, *, manifests: Folder = None) -> SuiteDescription | FamilyDescription:
    """What a suite, a split or a family is made of: roles, classes, numbers, protocol, licences, citations.

    Returns:
        The parts as attributes; `to_dict()` gives them as JSON data.

    Raises:
        UsageError: there is none of that name; the closest one is suggested.
    """
    from croftbench.api.checking import namesakes
    from croftbench.data.description import SuiteDescription, look_up

    folders = _folders(manifests=manifests)
    described = look_up(name, folders.manifests)
    if isinstance(described, SuiteDescription):
        return replace(described, namesakes=tuple(namesakes(described.suite, folders)))
    return described
