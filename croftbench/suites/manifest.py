"""Suites: from their manifests to `Suite`, every rule checked. What is evaluated is data; nothing broken is skipped."""

from __future__ import annotations

from collections import Counter
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
from croftbench.suites.shelves import Where, behind, folders
from croftbench.suites.toml import at, build, collect, fault, manifest_path, names, read, root, together

__all__ = ["names", "root", "suite", "templates"]


@dataclass(frozen=True)
class _SuiteFile:
    """A suite's manifest, key by key.

    Attributes:
        templates: prompts, or the name of a file of `prompts/` with one a line.
        families: data sets that only this suite uses, each as its own file in splits/ would describe it.
    """

    __pydantic_config__: ClassVar = FORBID
    name: str
    folds: tuple[FoldSpec, ...]
    protocol: Protocol
    version: int = 1
    title: str = ""
    templates: str | tuple[str, ...] = "photo"
    families: tuple[Mapping[str, Any], ...] = ()
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
def suite(name: str, folder: Where = None) -> Suite:
    """The suite called `name`, or the one in a user's own file when `name` ends in ".toml".

    Raises:
        UsageError: there is none of that name.
        ManifestError: its file, or that of a dataset that it uses, breaks rules; the message has each with its line.
    """
    path = manifest_path("suites", name, folder)
    file = build(path, read(path), _SuiteFile)
    own = bool(file.families) or name.endswith(".toml")
    where = behind(path, folder) if own else folder
    wrong = _inline_faults(path, file, where)
    prompts = file.templates
    if isinstance(prompts, str):
        known = templates(folder)
        if prompts not in known:
            wrong.append(
                fault(path, f"there is no list of prompts '{prompts}'; known: {', '.join(known)}", "templates").message
            )
        prompts = tuple(registry.lines_of(known[prompts])) if prompts in known else ("{}",)
    made = Suite(
        file.name, file.version, file.title or file.name, "", prompts, file.classes, file.folds, file.semantic,
        file.protocol, file.shares, file.val, file.reference, file.recipe, file.recipes, file.authors, file.notes,
        home=str(path.resolve()) if own else "",
    )  # fmt: skip
    families, lost = _families(path, made, where)
    rules = suite_rules.rules(made, families, where) if not (wrong or lost) else suite_rules.alone(made, where)
    wrong += [*lost, *collect(path, rules)]
    if wrong:
        raise together(wrong)
    return Suite(**{**vars(made), "content": _content(made, families, where)})


def templates(folder: Where = None) -> dict[str, Path]:
    """The lists of prompts that ship, by name."""
    paths = (path for one in folders(folder) for path in sorted((one / "prompts").glob("*.txt")))
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def _inline_faults(path: Path, file: _SuiteFile, folder: Where) -> list[str]:
    """What is wrong with the families that a suite carries."""
    wrong: list[str] = []
    for i, data in enumerate(file.families):
        try:
            registry.inline(path, data, i, folder)
        except ManifestError as error:
            wrong += error.message.splitlines()
    for name, times in Counter(one.get("name") for one in file.families).items():
        if times > 1:
            wrong.append(fault(path, f"two families are called '{name}'", "families", 1, "name").message)
    return wrong


def _families(path: Path, made: Suite, folder: Where) -> tuple[dict[str, tuple[Family, str]], list[str]]:
    """Split id -> its family and part, for every split that the suite names; and what is wrong with the others."""
    families: dict[str, tuple[Family, str]] = {}
    wrong: list[str] = []
    for keys, split_id in suite_rules.split_ids(made):
        if split_id in families:
            continue
        try:
            family, part = registry.split(split_id, folder)
        except UsageError as error:
            wrong.append(f"{at(path, *keys, split_id)}: {error.message} {error.hint}")
        except ManifestError as error:
            wrong += error.message.splitlines()
        else:
            families[split_id] = family, part.name
    return families, wrong


def _content(made: Suite, families: Mapping[str, tuple[Family, str]], folder: Where) -> str:
    """Changes with shipped pixels, with any class list or its names, and with the lists that the suite names."""
    of_family = {family.name: [family.content, family.ids, family.classnames] for family, _ in families.values()}
    members = {split: family.part(part).members for split, (family, part) in families.items()}
    mappings = [one.mapping for spec in made.folds for one in spec.shifted().values() if one.mapping]
    dealt = made.shares.list if made.shares else ""
    lists = [registry.shipped_list(name, folder) for name in (made.classes.list, *mappings, dealt) if name]
    return digest([of_family, members, [registry.lines_of(one) for one in lists]])
