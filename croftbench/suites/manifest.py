"""Suites: from their manifests to `Suite`, every rule checked. What is evaluated is data; nothing broken is skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from croftbench.errors import ManifestError, UsageError
from croftbench.files import digest
from croftbench.suites import registry, suite_rules
from croftbench.suites.families import Family
from croftbench.suites.language import (
    FORBID,
    ClassDraw,
    FoldSpec,
    Protocol,
    RecipeName,
    ReferenceSpec,
    SemanticSpec,
    Shares,
    Suite,
    ValSpec,
)
from croftbench.suites.toml import NEXT, at, fault, manifest_path, names, parse, root

__all__ = ["names", "root", "suite", "templates"]


@dataclass(frozen=True)
class _SuiteFile:
    """A suite's manifest, key by key.

    Attributes:
        templates: prompts, or the name of a file of `prompts/` with one a line.
    """

    __pydantic_config__: ClassVar = FORBID
    name: str
    version: int
    title: str
    templates: str | tuple[str, ...]
    protocol: Protocol
    folds: tuple[FoldSpec, ...]
    classes: ClassDraw = field(default_factory=ClassDraw)
    semantic: tuple[SemanticSpec, ...] = ()
    shares: Shares | None = None
    val: ValSpec | None = None
    reference: ReferenceSpec | None = None
    recipe: RecipeName = "croft-comparison"
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    authors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: str = ""


@cache
def suite(name: str, folder: Path | None = None) -> Suite:
    """The suite called `name`, or the one in a user's own file when `name` ends in ".toml".

    Raises:
        UsageError: there is none of that name.
        ManifestError: its file, or that of a dataset that it uses, breaks a rule; the message names the line.
    """
    path = manifest_path("suites", name, folder)
    file = parse(path, _SuiteFile)
    prompts = file.templates
    if isinstance(prompts, str):
        shipped = templates(folder)
        if prompts not in shipped:
            raise fault(path, f"there is no list of prompts '{prompts}'; known: {', '.join(shipped)}", "templates")
        prompts = tuple(registry.lines_of(shipped[prompts]))
    made = Suite(
        file.name, file.version, file.title, "", prompts, file.classes, file.folds, file.semantic, file.protocol,
        file.shares, file.val, file.reference, file.recipe, file.recipes, file.authors, file.notes,
    )  # fmt: skip
    families = _families(path, made, folder)
    suite_rules.check(path, made, families, folder)
    return Suite(**{**vars(made), "content": _content(made, families, folder)})


def templates(folder: Path | None = None) -> dict[str, Path]:
    """The lists of prompts that ship, by name."""
    return {path.stem: path for path in sorted(((folder or root()) / "prompts").glob("*.txt"))}


def _families(path: Path, made: Suite, folder: Path | None) -> dict[str, tuple[Family, str]]:
    """Split id -> its family and part, for every split that the suite names."""
    families: dict[str, tuple[Family, str]] = {}
    for keys, split_id in suite_rules.split_ids(made):
        if split_id in families:
            continue
        try:
            family, part = registry.split(split_id, folder)
        except UsageError as error:
            where = at(path, *keys, split_id)
            raise ManifestError(f"{where}: {error.message}", f"{error.hint} {NEXT}") from error
        families[split_id] = family, part.name
    return families


def _content(made: Suite, families: Mapping[str, tuple[Family, str]], folder: Path | None) -> str:
    """Changes with shipped pixels, with any class list or its names, and with the lists that the suite names."""
    of_family = {family.name: [family.content, family.ids, family.classnames] for family, _ in families.values()}
    members = {split: family.part(part).members for split, (family, part) in families.items()}
    mappings = [one.mapping for spec in made.folds for one in spec.shifted().values() if one.mapping]
    dealt = made.shares.list if made.shares else ""
    lists = [registry.shipped_list(name, folder) for name in (made.classes.list, *mappings, dealt) if name]
    return digest([of_family, members, [registry.lines_of(one) for one in lists]])
