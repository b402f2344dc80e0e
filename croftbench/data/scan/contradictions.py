"""Files that contradict themselves, one another, or the class list: found, said with an example, resolved or refused.

Refused is what nobody can decide from the files: a number with two names, an image with two labels, labels counted in
another order than the class list's or the folders'. `docs/data.md` has the rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from croftbench.classnames import comparable
from croftbench.data.scan.entries import Entry, Source, shown
from croftbench.data.scan.listing import Listing, Notes
from croftbench.data.scan.place import Absent
from croftbench.suites.families import Family, Layout, Part

CLEAR = 0.9
"""Share of a folder's images that must carry one label, for the folder to be one class's."""


class Taken:
    """The images that a part's lists have named so far: none counts twice, or under two labels."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._met: dict[str, tuple[int, str]] = {}

    def again(self, path: str, label: int, source: Source, entry: Entry) -> bool:
        """Whether an image was there before; it is noted, and counts once.

        Raises:
            Absent: it was there with another label.
        """
        where = source.where(entry)
        before, first = self._met.setdefault(path, (label, where))
        if first == where:
            return False
        if before != label:
            said = f"{where} has {shown(path)} under another label than {first}"
            raise Absent(f"{said}; keep the right one", near=True)
        self._notes.add("repeated", f"{path} ({where} and {first})")
        return True


def numbers_and_names(sources: Iterable[Source], by_number: bool) -> None:
    """A split file gives each number one name, and each name one number, in all of its lists.

    Where numbers decide, two classes may have one name, as ImageNet's cranes: then a list has both numbers. Two lists
    that have one number each count differently.

    Raises:
        Absent: it does not.
    """
    named: dict[str, tuple[str, str]] = {}
    numbered: dict[str, dict[str, str]] = defaultdict(dict)
    together: set[tuple[str, frozenset[str]]] = set()
    for source in sources:
        here: dict[str, set[str]] = defaultdict(set)
        first_of: dict[tuple[str, str], Entry] = {}
        for entry in source.entries:
            first_of.setdefault((entry.label or "", entry.name), entry)
        for (number, name), entry in first_of.items():
            where = source.where(entry)
            other, first = named.setdefault(number, (name, where))
            if comparable(other) != comparable(name):
                raise _undecided(f"{where} calls class {number} '{name}', {first} '{other}'")
            key = comparable(name) if by_number else name
            numbered[key].setdefault(number, where)
            here[key].add(number)
        together |= {(name, frozenset(numbers)) for name, numbers in here.items()}
    for name, numbers in numbered.items():
        if len(numbers) > 1 and not (by_number and (name, frozenset(numbers)) in together):
            (one, first), (other, second) = list(numbers.items())[:2]
            raise _undecided(f"{second} gives '{name}' number {other}, {first} number {one}")


def names_and_list(names: Mapping[str, str], family: Family, positions: Mapping[str, int], where: str) -> None:
    """The names that a file gives to its numbers are not those of other classes of the list.

    Names that the list does not have say nothing, nor does one that the file gives to the right number too.

    Args:
        names: number, as the file writes it -> the file's name for it.
        family: its class list.
        positions: number -> class of the family; -1 for none.
        where: the file.

    Raises:
        Absent: one is, so that numbers and list are in different orders.
    """
    listed = [comparable(name) for name in family.classnames]
    placed = {number: position for number, position in positions.items() if position >= 0}
    agreeing = {
        listed[position] for number, position in placed.items() if comparable(names[number]) == listed[position]
    }
    others = set(listed) - agreeing
    for number, position in placed.items():
        if comparable(names[number]) in others:
            said = f"{where} calls class {number} '{names[number]}', which is {_class(family, position)} here"
            raise Absent(f"{said}: numbers and class list are in different orders; correct one of them", near=True)


def folders_and_labels(
    paths: Sequence[str], labels: Sequence[int], family: Family, part: Part, notes: Notes, where: str
) -> None:
    """Where images lie in folders called after classes, their labels are those classes.

    Only folders count of whose images nearly all have one label. A few that differ are noted: a folder may be called
    after a class by chance. Where most differ, labels and folders are in different orders, or counted from 0 and 1.

    Raises:
        Absent: most differ.
    """
    position = {family.classnames[member]: member for member in part.members}
    position |= {family.ids[member]: member for member in part.members}
    inside: dict[str, Counter[int]] = defaultdict(Counter)
    example: dict[tuple[str, int], str] = {}
    for path, label in zip(paths, labels, strict=True):
        folder = path.rpartition("/")[0]
        inside[folder][label] += 1
        example.setdefault((folder, label), path)
    agree, differ = 0, []
    for folder, counts in inside.items():
        called = next((position[step] for step in reversed(folder.split("/")) if step in position), None)
        label, most = counts.most_common(1)[0]
        if called is None or most < CLEAR * counts.total():
            continue
        agree += label == called
        if label != called:
            differ.append((folder, label, called))
        for other, count in counts.items():
            if other != called:
                notes.add("disagreeing", example[folder, other], count)
    if len(differ) > max(agree, 1):  # one alone is by chance
        folder, label, called = differ[0]
        said = f"{where} gives {shown(example[folder, label])} the label of {_class(family, label)}"
        raise Absent(f"{said}, its folder is that of {_class(family, called)}: {_reason(differ)}", near=True)


def _reason(differ: Sequence[tuple[str, int, int]]) -> str:
    steps = {label - called for _, label, called in differ if label >= 0}
    if steps in ({1}, {-1}):
        return "labels are counted from another number than the layout's 'first' says; set it to 0 or 1"
    return f"so in {len(differ):,} folders, labels and folders are in different orders; correct the list"


def _undecided(said: str) -> Absent:
    return Absent(f"{said}; correct the file", near=True)


def _class(family: Family, label: int) -> str:
    return "no class" if label < 0 else f"'{family.classnames[label]}' ({family.ids[label]})"


def namesakes(family: Family, members: Iterable[int], notes: Notes) -> None:
    """Note the classes that share a name, and so a prompt, with another of the same part."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for member in members:
        by_name[comparable(family.classnames[member])].append(member)
    for same in by_name.values():
        if len(same) > 1:
            ids = " and ".join(family.ids[member] for member in same)
            notes.add("namesake", f"'{family.classnames[same[0]]}' for {ids}", len(same))


def shared(layout: Layout, parts: Mapping[str, Listing], notes: Mapping[str, Notes]) -> None:
    """Note the images that lists put into two parts, of which neither is all of the other."""
    if layout.kind not in ("list", "split-json"):
        return
    paths = {name: frozenset(listing.located) for name, listing in parts.items()}
    for name, mine in paths.items():
        for other, theirs in paths.items():
            both = mine & theirs
            if name != other and both and both not in (mine, theirs):
                notes[name].add("shared", f"{min(both)} in {other}", len(both))
