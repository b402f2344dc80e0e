"""Columns of text side by side, whole: nothing is folded, cut or split, whatever the width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Span, Text


class GridCell(NamedTuple):
    """The text of a cell, the style of its first so many characters, and their number.

    Not a `Text`: a table of a thousand rows has ten thousands of them, and of what they take most would be these.
    """

    text: str
    style: str = ""
    styled: int = 0


@dataclass(frozen=True)
class GridColumn:
    """One column: its heading, what it and its neighbours belong to ("" for nothing), and a cell a row."""

    head: str
    cells: Sequence[GridCell]
    group: str = ""
    right: bool = True

    @cached_property
    def width(self) -> int:
        """In characters of a terminal; no word of the heading is split."""
        return max([*(cell_len(cell.text) for cell in self.cells), *map(cell_len, self.head.split() or [""])])

    def heading(self, width: int) -> list[str]:
        """The heading in lines of at most that width."""
        return textwrap.wrap(self.head, max(width, 1), break_long_words=False, break_on_hyphens=False)


def width_of(columns: Sequence[GridColumn], gap: int) -> int:
    """How wide the grid is."""
    return sum(_widths(columns, gap)) + gap * (len(columns) - 1)


def grid(columns: Sequence[GridColumn], gap: int, rules: Sequence[int] = ()) -> list[Text]:
    """The lines of the grid: groups and headings, a rule, the rows; another rule after each row of `rules`."""
    widths = _widths(columns, gap)
    whole = sum(widths) + gap * (len(widths) - 1)
    heads = [column.heading(width) for column, width in zip(columns, widths, strict=True)]
    deep = max(map(len, heads))
    heads = [[""] * (deep - len(head)) + head for head in heads]
    lines = [_groups(columns, widths, gap)] if any(column.group for column in columns) else []
    lines += [_line([GridCell(head[depth]) for head in heads], columns, widths, gap) for depth in range(deep)]
    lines.append(Text("─" * whole))
    for row in range(len(columns[0].cells)):
        lines.append(_line([column.cells[row] for column in columns], columns, widths, gap))
        if row in rules:
            lines.append(Text("─" * whole, style="dim"))
    return lines


def _line(cells: Sequence[GridCell], columns: Sequence[GridColumn], widths: Sequence[int], gap: int) -> Text:
    line = ""
    spans: list[Span] = []
    for i, (cell, column, width) in enumerate(zip(cells, columns, widths, strict=True)):
        room = " " * (width - cell_len(cell.text))
        line += (" " * gap if i else "") + (room if column.right else "")
        spans += [Span(len(line), len(line) + cell.styled, cell.style)] if cell.style else []
        line += cell.text + ("" if column.right else room)
    return Text(line.rstrip(), spans=spans)


def _groups(columns: Sequence[GridColumn], widths: Sequence[int], gap: int) -> Text:
    parts = []
    for name, members in groupby(range(len(columns)), key=lambda i: columns[i].group):
        inside = [widths[i] for i in members]
        room = sum(inside) + gap * (len(inside) - 1)
        parts.append(f" {name} ".center(room, "─") if name and room >= cell_len(name) + 4 else name.rjust(room))
    line = Text((" " * gap).join(parts))
    line.rstrip()
    return line


def _widths(columns: Sequence[GridColumn], gap: int) -> list[int]:
    """Of each column; the first of a group is wide enough for the group's name."""
    widths = [column.width for column in columns]
    for name, members in groupby(range(len(columns)), key=lambda i: columns[i].group):
        place = list(members)
        lacking = cell_len(name) - sum(widths[i] for i in place) - gap * (len(place) - 1)
        widths[place[0]] += max(lacking, 0)
    return widths
