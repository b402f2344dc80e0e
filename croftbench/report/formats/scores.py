"""The table of methods by scores as text: Markdown, CSV, and for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.text import Text
from tabulate import tabulate

from croftbench.report import cells as marks
from croftbench.report import score_table
from croftbench.report.cells import TIE, TIED, TRANSDUCTIVE, Cell, column, images, is_tied, settings_differ, tied
from croftbench.report.columns import DETECTION, FPR_MEAN, LEVELS, Column
from croftbench.report.formats import data, markdown, terminal
from croftbench.report.formats.grid import GridCell, GridColumn, grid, width_of
from croftbench.report.formats.terminal import FITS, Fit
from croftbench.report.rows import marked
from croftbench.report.score_table import ScoreBoard
from croftbench.report.tables import Board


@dataclass(frozen=True)
class Line:
    """One row as shown; `first` of its method's; `lacks` runs for another reason than that it is not applicable."""

    method: str
    scorer: str
    cells: tuple[Cell, ...]
    runs: str
    first: bool
    lacks: bool


def to_csv(board: ScoreBoard) -> str:
    """One line a method and score; the columns are those of `ScoreBoard.table`."""
    return data.csv(board.table)


def to_markdown(board: ScoreBoard) -> str:
    """The table for GitHub; marks and footnotes as the small print says."""
    every, reasons = lines(board)
    head = heads(board)
    rows = [
        [markdown.escape(line.method), markdown.escape(line.scorer), *map(markdown.cell_text, line.cells), line.runs]
        for line in every
    ]
    align = ("left", "left", *("right" for _ in shown(board)), "right")
    body = tabulate(rows, [markdown.escape(one) for one in head], "pipe", colalign=align, disable_numparse=True)
    title = f"# {markdown.escape(_title(board))}"
    notes = "\n\n".join(markdown.escape(f"[{number}] {reason}") for reason, number in reasons.items())
    return "\n\n".join(part for part in [title, *map(markdown.escape, caption(board)), body, notes] if part) + "\n"


def to_text(board: ScoreBoard, width: int | None = None) -> Text:
    """The table for a terminal; what is missing of the runs stands behind the score's name."""
    every, reasons = lines(board)
    named = {name: _column(board, name) for name in shown(board)}

    def columns(fit: Fit) -> list[GridColumn]:
        method = [GridCell(line.method if line.first else "") for line in every]
        scorer = [GridCell(f"{line.scorer} ({line.runs} runs)" if line.lacks else line.scorer) for line in every]
        cells = zip(*([terminal.cell_text(cell, fit) for cell in line.cells] for line in every), strict=True)
        return [GridColumn("method", method, right=False), GridColumn("score", scorer, right=False)] + [
            GridColumn("mean" if name in (DETECTION, FPR_MEAN) else of.title, its, of.measure)
            for (name, of), its in zip(named.items(), cells, strict=True)
        ]

    fit = next((fit for fit in FITS if width is None or width_of(columns(fit), fit.gap) <= width), FITS[-1])
    ends = [i for i, line in enumerate(every[1:]) if line.first]
    notes = [*caption(board), *(f"[{number}] {reason}" for reason, number in reasons.items())]
    small_print = [Text(line) for note in notes for line in terminal.folded(note, width)]
    return Text("\n").join(
        [Text(_title(board), style="bold"), Text(), *grid(columns(fit), fit.gap, ends), Text(), *small_print]
    )


def shown(board: ScoreBoard) -> tuple[str, ...]:
    """The metric columns that text has room for: the means of near and far, or else near, if any, and the mean."""
    means = [one.name for one in board.columns if one.text and one.parts and one.name not in (DETECTION, FPR_MEAN)]
    if len(means) == 2 * len(LEVELS):
        return tuple(means)
    near = (f"auroc/{board.near}", f"fpr95/{board.near}") if board.near else ()
    return (*near, DETECTION, FPR_MEAN)


def caption(board: ScoreBoard) -> list[str]:
    """What the numbers are, one paragraph each."""
    main = board.main
    suite, protocol = main.suite, main.suite.protocol
    folds = f", {len(suite.folds)} folds averaged within each seed" if len(suite.folds) > 1 else ""
    semantic = ", ".join(f"{split.name} (n = {images(main, split.name)})" for split in suite.semantic)
    small_print = [
        f"Suite {suite.name} version {suite.version}, digest {suite.digest[:12]}; encoder "
        f"{', '.join(dict.fromkeys(board.table['encoder']))}; seeds {', '.join(map(str, main.seeds))}{folds}; "
        f"{main.precision}.",
        f"All in percent, mean ± standard deviation over seeds. Positives: all ID images (n = {images(main, 'id')} a "
        f"seed). Negatives: {semantic}; the mean is over these. FPR95 is the share of negatives accepted when at least "
        f"95% of ID is accepted (ID positive).",
        f"Methods in the order of the leaderboard, scores by falling mean AUROC. Of each method's scores the best in "
        f"bold, the second underlined; {TIE} ties with the best: the best lies within this value's own 95% interval "
        f"over images. {', '.join(protocol.scorers)} are the suite's own, {protocol.headline} its headline; the others "
        f"are computed from the same outputs, nothing is trained for them (`croftbench list scorers`).",
    ]
    rows = board.records
    small_print += tied([(f"{marked(str(row['method']), row)} {row['scorer']}", row) for row in rows])
    if board.table["transductive"].any():
        small_print.append(TRANSDUCTIVE)
    if ways := sorted(set(board.table["stream"]) - {""}):
        small_print.append(marks.STREAM.format("; ".join(ways)))
    if board.other_fits:
        small_print.append(
            f"Post-hoc scores of {board.other_fits} run(s) are of a later fit that does not give the run's accuracies "
            f"to the last digit, as happens on another machine."
        )
    return [*small_print, main.note] if main.note else small_print


def of_page(main: Board) -> tuple[list[str], list[Line], list[str]] | None:
    """Heads, lines and small print of a suite's table; None where no run has other scores than the suite's own."""
    if not main.suite.semantic:
        return None
    board = score_table.board(main)
    if not (board.table["source"] != "suite").any():
        return None
    every, reasons = lines(board)
    return heads(board), every, [*caption(board), *(f"[{number}] {reason}" for reason, number in reasons.items())]


def heads(board: ScoreBoard) -> list[str]:
    """Headings of the table as text."""
    return ["Method", "Score", *(_head(board, name) for name in shown(board)), "Runs"]


def lines(board: ScoreBoard) -> tuple[list[Line], dict[str, int]]:
    """All rows, and the reasons for what is not applicable with their numbers."""
    reasons: dict[str, int] = {}
    every: list[Line] = []
    several = settings_differ(board.main)
    for _, group in groupby(board.records, itemgetter("method", "encoder", "shots")):
        rows = list(group)
        columns = [column(rows, name, details=False) for name in shown(board)]
        for i, row in enumerate(rows):
            method = marked(str(row["method"]), row)
            cells = [cells[i] for cells in columns]
            if row["not_applicable"]:
                number = reasons.setdefault(f"Not applicable: {row['not_applicable']}", len(reasons) + 1)
                cells = [cell if cell.text else Cell(f"n/a [{number}]") for cell in cells]
            if several:
                method = f"{method} ({row['encoder']}, {row['shots']} shots)"
            runs = f"{row['runs']}/{row['runs_expected']}"
            lacks = not (row["ranked"] or row["not_applicable"])
            named = f"{row['scorer']} (stream)" if row["stream"] else str(row["scorer"])
            scorer = f"{named} {TIED}" if is_tied(row) else named
            every.append(Line(method, scorer, tuple(cells), runs, i == 0, lacks))
    return every, reasons


def _title(board: ScoreBoard) -> str:
    return f"{board.main.suite.name}: methods by detection score"


def _head(board: ScoreBoard, name: str) -> str:
    of = _column(board, name).images
    return f"{_short(board, name)} (n = {images(board.main, of)})" if of else _short(board, name)


def _short(board: ScoreBoard, name: str) -> str:
    of = _column(board, name)
    return f"{of.measure} {'mean' if name in (DETECTION, FPR_MEAN) else of.title}"


def _column(board: ScoreBoard, name: str) -> Column:
    return next(column for column in board.columns if column.name == name)
