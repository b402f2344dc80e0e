"""From what a class is called on somebody's disk to its position in the family's class list."""

from __future__ import annotations

import re

from croftbench.data.scan.listing import Notes
from croftbench.suites.families import Family, Layout, Part
from croftbench.suites.registry import lines_of


class Classes:
    """The classes of one part, by what one layout calls them.

    Looking up takes the alias, then the exact key, then the one key that differs in case or in how its words are
    joined; the last is noted. A class of the family that the part lacks is unknown here.
    """

    def __init__(self, family: Family, part: Part, layout: Layout, notes: Notes) -> None:
        self._notes, self._members, self._ids = notes, part.members, family.ids
        mine = set(part.members)
        position = {key: i for i, key in enumerate(family.ids)}
        aliases = {found: position[key] for found, key in layout.aliases.items()}
        if layout.key == "index":
            order = (
                [position[key] for key in lines_of(family.lists / layout.order)] if layout.order else list(part.members)
            )
            known = {str(i + layout.first): member for i, member in enumerate(order)}
        else:
            keys = family.ids if layout.key == "id" else family.classnames
            aliased = set(aliases.values())
            known = {}
            for member in part.members:
                if keys[member] in known and member in aliased:
                    continue  # the other of two classes with one name; its alias tells them apart
                known[keys[member]] = member
        self._exact = {found: member for found, member in (known | aliases).items() if member in mine}
        self._loose: dict[str, int | None] = {}
        for found, member in self._exact.items():
            key = _loosely(found)
            self._loose[key] = member if self._loose.get(key, member) == member else None  # None: two classes fit
        self._seen: dict[str, int] = {}
        self._taken: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._members)

    def find(self, found: str) -> int:
        """Position of a class in the family's list; -1 where it is none of the part's."""
        if found not in self._seen:
            self._seen[found] = self._find(found)
        return self._seen[found]

    def _find(self, found: str) -> int:
        label = self._exact.get(found)
        if label is None and found.isascii() and found.isdigit():
            label = self._exact.get(str(int(found)))  # 007 is 7
        if label is None:
            label = self._loose.get(_loosely(found))
            if label is None:
                return -1
            self._notes.add("renamed", f"'{found}' for {self._ids[label]}")
        if self._taken.setdefault(label, found) != found:
            self._notes.add("merged", f"'{found}' with '{self._taken[label]}'")
        return label


def _loosely(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().casefold()
