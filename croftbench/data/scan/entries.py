"""What lists and split files say: the path and the label of each image, with the line that says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from croftbench import texts
from croftbench.data.scan.place import SUFFIXES, Absent, Place, is_image
from croftbench.suites.families import Part
from croftbench.texts import TextError

ENDING = re.compile(rf"(?:{'|'.join(map(re.escape, SUFFIXES))})(?=\s)", re.IGNORECASE)
"""Where a path may end that blanks are in."""

LABEL = re.compile(r"(-?\d+)(?:\.0+)?")
"""A class's number, also as pandas writes it in a column with gaps."""

TRIPLE = "[path, number, class name]"


class Entry(NamedTuple):
    """An image as a file names it; `at` is its line, or its position in a split file's list, from 0."""

    path: str
    label: str | None
    at: int
    name: str = ""


@dataclass(frozen=True)
class Source:
    """A list, or one list of a split file.

    Attributes:
        file: as messages call it.
        entries: in its order.
        key: of the list in a split file.
    """

    file: str
    entries: Sequence[Entry]
    key: str = ""

    def where(self, entry: Entry) -> str:
        """What to look up in the file."""
        return f"{self.file}, {self.key}[{entry.at}]" if self.key else f"{self.file}:{entry.at}"


Exists = Callable[[str], bool]
"""Whether there is an image where a list says."""


def of_list(name: str, file: Path, place: Place, part: Part, exists: Exists) -> Source:
    """The lines of a list, see `Layout.line`.

    Cells are separated by tabs, or by the separator of a ".csv", or else by blanks. Among blanks, a path ends at an
    image's ending, and labels that are numbers are taken from the right, so it may hold blanks. Double quotes around
    a path are taken off.

    Raises:
        Absent: the file is no text, or a line has no label.
    """
    columns = place.layout.line.split()
    entry = _Reader(name, columns, place.layout.key == "index", bool(part.members)).entry
    try:
        if texts.is_csv(file):
            return Source(name, [entry(number, cells) for number, cells in _csv(name, file, columns, exists)])
        lines = texts.lines(file, name, any_bytes=True, comments=True)
    except TextError as error:
        raise unread(error) from error
    entries = []
    for number, line in lines:
        cells = line.split()
        if len(cells) != len(columns) or not part.members or '"' in line or "\t" in line:
            cells = _cells(line, columns, place, exists)
        if not line.startswith(texts.COMMENT) or exists(cells[0]):
            entries.append(entry(number, cells))
    return Source(name, entries)


def labels_of(name: str, file: Path, count: int) -> list[str]:
    """The lines of a list that has labels alone, for `count` images; the first of a ".csv" may be a header.

    Raises:
        Absent: the file is no text.
    """
    try:
        if not texts.is_csv(file):
            return [line for _, line in texts.lines(file, name, any_bytes=True)]
        rows = [row.cells[0] for row in texts.rows(file, name, any_bytes=True)]
    except TextError as error:
        raise unread(error) from error
    return rows[1:] if len(rows) == count + 1 else rows


def of_json(name: str, file: Path) -> dict[str, Source]:
    """The lists of a CoOp split file, by key.

    Raises:
        Absent: it is none; the message names the line or the entry.
    """
    try:
        content = texts.from_json(file, name)
    except TextError as error:
        raise unread(error) from error
    if not isinstance(content, dict):
        raise Absent(f"{name} is no split file: it holds no object of lists", near=True)
    return {key: Source(name, [*_triples(name, key, given)], key) for key, given in content.items()}


def unread(error: TextError) -> Absent:
    """The same for a scan: these images cannot be used."""
    return Absent(f"{error.message} {error.hint}".strip().rstrip("."), near=True)


# --------------------------------------------------------------------------------------- lines


def _csv(name: str, file: Path, columns: list[str], exists: Exists) -> Iterator[tuple[int, Sequence[str]]]:
    """The rows of a table, less its header, which names no image."""
    rows = texts.rows(file, name, any_bytes=True)
    path = columns.index("path")
    chosen = {at: one[1:].split("|") for at, one in enumerate(columns) if one.startswith("=")}
    for i, row in enumerate(rows):
        if len(row.cells) != len(rows[0].cells):
            found = f"{len(row.cells)} cells, {len(rows[0].cells)} in line {rows[0].number}"
            raise Absent(f"{name}:{row.number}: {found}; a path with a separator stands in quotes", near=True)
        cells = row.cells
        if short := len(columns) - len(cells):  # cells that hold several columns, as ImageNet's validation list has
            cells = (*cells[:-1], *cells[-1].split(maxsplit=short)) if short > 0 else cells
        meant = all(cells[at].strip() in wanted for at, wanted in chosen.items() if at < len(cells))
        if meant and (i or is_image(cells[min(path, len(cells) - 1)]) or exists(cells[min(path, len(cells) - 1)])):
            yield row.number, cells


def _cells(line: str, columns: list[str], place: Place, exists: Exists) -> list[str]:
    count = len(columns) - 1
    if "\t" in line and len(cells := line.split("\t")) == len(columns):
        return [_unquoted(cell) for cell in cells]
    if not count:
        return [_unquoted(line)]
    if columns[0] != "path":
        return line.split(maxsplit=count)
    if quoted := re.fullmatch(r'"([^"]+)"\s+(.+)', line):
        return [quoted[1], *quoted[2].split(maxsplit=count - 1)]
    if place.layout.key == "index":
        *rest, last = line.rsplit(maxsplit=count)
        return [*rest, last] if LABEL.fullmatch(last) else [line]
    ends = [match.end() for match in ENDING.finditer(line)]
    end = next((end for end in ends[1:] and ends if exists(line[:end])), ends[0] if ends else 0)
    return [line[:end], *line[end:].split(maxsplit=count - 1)] if end else line.split(maxsplit=count)


class _Reader:
    """Makes entries of cells."""

    def __init__(self, name: str, columns: list[str], numbers: bool, needed: bool) -> None:
        self.name, self.numbers, self.needed = name, numbers, needed
        self.path, self.label = columns.index("path"), columns.index("label") if "label" in columns else -1
        self.least = max(self.path, self.label) + 1

    def entry(self, number: int, cells: Sequence[str]) -> Entry:
        """Path and label of line `number`.

        Raises:
            Absent: it has none, and the part's images need one.
        """
        if self.label < 0 or (not self.needed and len(cells) < self.least):
            return Entry(cells[min(self.path, len(cells) - 1)], None, number)
        if len(cells) < self.least:
            raise Absent(f"{self.name}:{number}: '{shown(' '.join(cells))}' has no label after its path", near=True)
        label = cells[self.label]
        if self.numbers and not label.isdecimal():
            written = LABEL.fullmatch(label)
            if written is None and self.needed:
                raise Absent(f"{self.name}:{number}: label '{shown(label)}' is no number", near=True)
            label = written[1] if written else label
        return Entry(cells[self.path], label, number)


def _unquoted(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1].replace('""', '"') if len(cell) > 2 and cell[0] == cell[-1] == '"' else cell


def shown(text: str) -> str:
    """A text for a message; bytes that are no UTF-8 in hexadecimal."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character of UTF-16, which JSON can spell
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


# --------------------------------------------------------------------------------------- split files


def _triples(name: str, key: str, given: object) -> Iterator[Entry]:
    if not isinstance(given, list):
        raise Absent(f"{name} is no split file: '{key}' is no list of {TRIPLE}", near=True)
    for i, entry in enumerate(given):
        match entry:
            case [str(path), bool(), _]:
                pass
            case [str(path), int(label), str(text)]:
                yield Entry(path, str(label), i, text)
                continue
            case [str(path), str(label), str(text)] if label.isascii() and label.isdigit():
                yield Entry(path, label, i, text)
                continue
        raise Absent(f"{name} is no split file: {key}[{i}] is {str(entry)[:80]}, no {TRIPLE}", near=True)
