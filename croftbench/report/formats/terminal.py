"""Leaderboards for a terminal: one line a row, whole cells, the headline columns first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rich.text import Text

from croftbench.report import cells
from croftbench.report.cells import PARETO, TIE, TIED, Cell, Line
from croftbench.report.columns import Column, headline
from croftbench.report.formats.grid import GridCell, GridColumn, grid, width_of
from croftbench.report.tables import Board

SHORT = {"covariate mean": "cov. mean", "semantic mean": "mean"}
"""Titles of columns, shorter."""


@dataclass(frozen=True)
class Fit:
    """How much of each cell is shown: the deviation over seeds, the mark of a tie, the row's rank."""

    deviation: bool
    ties: bool
    rank: bool
    gap: int


FITS = (Fit(True, True, True, 2), Fit(False, True, True, 2), Fit(False, True, True, 1), Fit(False, False, True, 1),
        Fit(False, False, False, 1))  # fmt: skip
"""From the roomiest to the tightest."""


def to_text(board: Board, width: int | None = None, wide: bool = False, more: str = "") -> Text:
    """The table in so many characters of width, with what its numbers are below.

    In a narrow terminal first the columns that are no headline are left out, then deviations, marks of ties and ranks,
    and last, with very long names, columns from the right; what is left out is said. Names are whole, and never read as
    markup.

    Args:
        board: the table.
        width: of the terminal; None where nothing limits it, as in a file.
        wide: all columns and all of the small print, however wide.
        more: a line below the table, such as how many rows are elsewhere.
    """
    lines = cells.lines(board, details=False)
    columns = _Columns(board, lines, wide)
    shown, fit = _fitting(columns, None if wide else width)
    text = [Text(cells.title(board), style="bold"), Text()]
    text += grid(columns.of(shown, fit), fit.gap)
    text += [Text()]
    paragraphs = cells.caption(board) if wide else list(_small_print(board, shown, fit, lines))
    paragraphs = [more, *paragraphs] if more else paragraphs
    text += [Text(line) for paragraph in paragraphs for line in folded(paragraph, width)]
    return Text("\n").join(text)


def folded(paragraph: str, width: int | None) -> list[str]:
    """A paragraph in lines of that width, broken between words alone; commands in backticks stay whole."""
    if width is None:
        return [paragraph]
    held = "\u00a0"
    whole = "`".join(part.replace(" ", held) if i % 2 else part for i, part in enumerate(paragraph.split("`")))
    lines = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(held, " ") for line in lines]


def cell_text(cell: Cell, fit: Fit = FITS[0]) -> GridCell:
    """A number with its marks; what ties with the best, in a column of its own."""
    style = {"best": "bold", "second": "underline", "": ""}[cell.mark]
    text = cell.text if fit.deviation else cell.text.partition(" ± ")[0]
    tie = (TIE if cell.tie else " ") if fit.ties else ""
    return GridCell(text + tie, style, len(text))


@dataclass
class _Columns:
    """The columns of a table, each made once for each fit: what fits is found by trying.

    Attributes:
        board, lines: the table.
        counts: whether headings say how many images there are.
    """

    board: Board
    lines: Sequence[Line]
    counts: bool
    _made: dict[tuple[str, Fit], GridColumn] = field(default_factory=dict)

    def of(self, shown: Sequence[Column], fit: Fit) -> list[GridColumn]:
        """Ranks, names and these columns."""
        ranks = [GridColumn("#", [GridCell(line.rank) for line in self.lines])] if fit.rank else []
        return [*ranks, self._names, *(self._column(column, fit) for column in shown)]

    @cached_property
    def _names(self) -> GridColumn:
        several = cells.settings_differ(self.board)
        return GridColumn("method", [GridCell(name(line, several)) for line in self.lines], right=False)

    def _column(self, column: Column, fit: Fit) -> GridColumn:
        if (column.name, fit) not in self._made:
            place = [one.name for one in self.board.shown].index(column.name)
            measure, title, images = cells.label(self.board, column)
            head = SHORT.get(title, title) + (f" n={images}" if self.counts and images else "")
            texts = [cell_text(line.cells[place], fit) for line in self.lines]
            self._made[column.name, fit] = GridColumn(head, texts, measure)
        return self._made[column.name, fit]


def _fitting(columns: _Columns, width: int | None) -> tuple[list[Column], Fit]:
    """The columns that there is room for, and how much of their cells."""
    every = columns.board.as_read
    if width is None:
        return list(every), FITS[0]
    first = list(every[: len(headline(columns.board.suite))])

    def fits(shown: Sequence[Column], fit: Fit) -> bool:
        return width_of(columns.of(shown, fit), fit.gap) <= width

    fit = next((fit for fit in FITS if fits(first, fit)), FITS[-1])
    if fits(first, fit):
        for column in every[len(first) :]:  # as long as there is room
            if not fits([*first, column], fit):
                break
            first.append(column)
    while len(first) > 1 and not fits(first, fit):
        first.pop()
    return first, fit


def name(line: Line, several: bool) -> str:
    """A row's name as it can be typed, with the marks behind it; the setting where rows differ in it."""
    setting = f", {line.setting}" if several and line.setting else ""
    title = f"{line.method}{setting}{line.title[len(line.method) :]}"
    done, _, expected = line.runs.partition("/")
    lacks = expected.isdecimal() and done != expected
    return f"{title} ({line.runs} runs)" if lacks else title


def _small_print(board: Board, shown: Sequence[Column], fit: Fit, lines: Sequence[Line]) -> Iterator[str]:
    """What a reader needs to read the numbers, and what is left out."""
    yield from cells.about(board)
    marks = ["Bold: best", "underlined: second"]
    marks += [f"{TIE} ties with the best"] if fit.ties else []
    marks += [f"{PARETO} on the Pareto front"] if any(line.pareto for line in lines) else []
    marks += [f"{TIED} scores that tie"] if any(line.tied for line in lines) else []
    value = "mean ± standard deviation over seeds" if fit.deviation else "means over seeds"
    scorer = board.suite.protocol.headline
    detected = f" AUROC and FPR95: {scorer} score, ID positive." if board.suite.semantic else ""
    yield f"Percent, {value}.{detected} {'; '.join(marks)}."
    if any(line.rank == "–" and not line.published for line in lines):
        yield "Rows that lack seeds or folds (runs) come last and are not ranked."
    yield from cells.remarks(board)
    left = [column for column in board.shown if column not in shown]
    if left:
        yield f"{len(left)} more column{'s' if len(left) > 1 else ''}, and what each is: --wide."
