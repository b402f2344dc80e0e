"""Layouts that users declare themselves: `croftbench.toml` in the data root, in the words of the manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import ClassVar

from croftbench.data.scan.tree import Tree
from croftbench.suites import family_rules, toml
from croftbench.suites.families import Family, Layout
from croftbench.suites.language import FORBID

FILE = "croftbench.toml"

LISTED = 50
"""Class folders up to which each is written into the line that a user may copy."""


@dataclass(frozen=True)
class Own(Layout):
    """A layout of the family that it names."""

    __pydantic_config__: ClassVar = FORBID
    family: str = ""


@dataclass(frozen=True)
class _File:
    """`croftbench.toml`, key by key."""

    __pydantic_config__: ClassVar = FORBID
    layouts: tuple[Own, ...] = ()


def layouts(family: Family, tree: Tree) -> list[Own]:
    """The layouts of a family that the data root's own file declares.

    Raises:
        ManifestError: the file breaks a rule.
    """
    if not tree.is_file(FILE):
        return []
    path = tree.root / FILE
    declared = toml.parse(path, _File, named=False).layouts
    known, mine = toml.names("splits", family.lists.parent), []
    for i, one in enumerate(declared):
        if one.family not in known:
            raise toml.fault(path, f"there is no data set '{one.family}'", "layouts", i, "family")
        if one.family == family.name:
            for message, keys in family_rules.layout_faults(family, one, family.lists, own_root=True):
                raise toml.fault(path, message, "layouts", i, *keys)
            mine.append(one)
    return mine


def confirm(family: Family, part: str, layout: Layout, at: str) -> str:
    """What to write to have a layout read in a place, one line.

    Args:
        family, part: what it is of.
        layout: what the place is like.
        at: the place, below the data root.
    """
    folders, files = layout.folders_of(part), layout.files_of(part)
    said = replace(
        layout, name="mine", at=(at or ".",), parts=(part,) if len(family.parts) > 1 else (),
        folder=folders[0], folders={part: folders} if len(folders) > 1 else {},
        file=files[0] if len(files) == 1 else "", files={part: files} if len(files) > 1 else {},
        take={part: layout.take[part]} if part in layout.take else {},
    )  # fmt: skip
    plain = {f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in fields(Layout)}
    words = {"family": family.name} | {
        name: value for name in plain if (value := getattr(said, name)) != plain[name] and not name.startswith("_")
    }
    if len(said.aliases) > LISTED:
        return f"declare a layout in {FILE} in the data root, with its class folders as 'aliases' of ids"
    return f"say so in {FILE} in the data root: layouts = [{_written(words)}]"


def _written(value: object) -> str:
    """A value as TOML has it, on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_written(one)}" for key, one in value.items()) + " }"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    bare = all(c.isascii() and (c.isalnum() or c in "-_") for c in name) and name
    return name if bare else json.dumps(name, ensure_ascii=False)
