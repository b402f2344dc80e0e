"""From what a class is called on somebody's disk to its position in the family's class list."""

from __future__ import annotations

import re
import unicodedata

from croftbench.data.scan.listing import Notes
from croftbench.suites.families import Family, Layout, Part
from croftbench.suites.registry import rows_of


class Classes:
    """The classes of one part, by what one layout calls them.

    Looking up takes the alias, then the exact key, then the one key that differs in case or in how its words are
    joined; the last is noted. A class of the family that the part lacks is unknown here.
    """

    def __init__(self, family: Family, part: Part, layout: Layout, notes: Notes) -> None:
        self._notes, self._members, self._ids = notes, part.members, family.ids
        mine = set(part.members)
        position = {key: i for i, key in enumerate(family.ids)}
        aliases = {alias: position[key] for alias, key in layout.aliases.items()}
        if layout.key == "index":
            listed = [row.cells[0] for row in rows_of(family.lists / layout.order)] if layout.order else None
            order = list(part.members) if listed is None else [position[key] for key in listed]
            by_name = {str(i + layout.first): member for i, member in enumerate(order)}
        else:
            keys = family.ids if layout.key == "id" else family.classnames
            aliased = set(aliases.values())
            by_name = {}
            for member in part.members:
                if keys[member] in by_name and member in aliased:
                    continue  # the other of two classes with one name; its alias tells them apart
                by_name[keys[member]] = member
        self._exact = {name: member for name, member in (by_name | aliases).items() if member in mine}
        self._loose: dict[str, int | None] = {}
        for name, member in self._exact.items():
            key = _loosely(name)
            self._loose[key] = member if self._loose.get(key, member) == member else None  # None: two classes fit
        self._seen: dict[str, int] = {}
        self._taken: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._members)

    def position(self, name: str) -> int:
        """Position of a class in the family's list; -1 where it is none of the part's."""
        if name not in self._seen:
            self._seen[name] = self._position(name)
        return self._seen[name]

    def _position(self, name: str) -> int:
        label = self._exact.get(name)
        if label is None and name.isascii() and name.isdigit():
            label = self._exact.get(str(int(name)))  # 007 is 7
        if label is None:
            loose = _loosely(name)
            label = self._loose.get(loose)
            if label is None:
                if loose in self._loose:
                    self._notes.add("ambiguous", f"'{name}'")
                return -1
            self._notes.add("renamed", f"'{name}' for {self._ids[label]}")
        if self._taken.setdefault(label, name) != name:
            self._notes.add("merged", f"'{name}' with '{self._taken[label]}'")
        return label


def _loosely(name: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()
