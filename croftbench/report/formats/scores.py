"""The table of methods by scores as text: Markdown, CSV, and for a terminal of 100 columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich import box
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from croftbench.report.cells import MEASURES, TIE, TRANSDUCTIVE, Cell, column, images, settings_differ
from croftbench.report.formats import markdown, terminal
from croftbench.report.rows import marked
from croftbench.report.score_table import FPR_MEAN, ScoreBoard
from croftbench.report.tables import DETECTION


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
    return str(board.table.to_csv(index=False, lineterminator="\n"))


def to_markdown(board: ScoreBoard) -> str:
    """The table for GitHub; marks and footnotes as the small print says."""
    lines, reasons = _lines(board)
    heads = ["Method", "Score", *(_head(board, name) for name in shown(board)), "Runs"]
    rows = [
        [markdown.escape(line.method), markdown.escape(line.scorer), *map(markdown.cell_text, line.cells), line.runs]
        for line in lines
    ]
    align = ("left", "left", *("right" for _ in shown(board)), "right")
    body = tabulate(rows, [markdown.escape(head) for head in heads], "pipe", colalign=align, disable_numparse=True)
    title = f"# {markdown.escape(_title(board))}"
    notes = "\n\n".join(markdown.escape(f"[{number}] {reason}") for reason, number in reasons.items())
    return "\n\n".join(part for part in [title, *map(markdown.escape, caption(board)), body, notes] if part) + "\n"


def to_rich(board: ScoreBoard) -> Table:
    """The table for a terminal; what is missing of the runs stands behind the score's name."""
    lines, reasons = _lines(board)
    notes = [*caption(board), *(f"[{number}] {reason}" for reason, number in reasons.items())]
    small_print = Text("\n".join(notes), justify="left")
    table = Table(
        title=Text(_title(board)), caption=small_print, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("method", overflow="fold")
    table.add_column("score", overflow="fold", min_width=20)
    for name in shown(board):
        table.add_column(Text(_short(board, name)), justify="right")
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        scorer = f"{line.scorer} ({line.runs} runs)" if line.lacks else line.scorer
        cells = map(terminal.cell_text, line.cells)
        last = following is not None and following.first
        table.add_row(Text(line.method if line.first else ""), Text(scorer), *cells, end_section=last)
    return table


def shown(board: ScoreBoard) -> tuple[str, ...]:
    """The metric columns that text has room for: near, where there is such a split, and the means."""
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
    if board.table["transductive"].any():
        small_print.append(TRANSDUCTIVE)
    if board.other_fits:
        small_print.append(
            f"Post-hoc scores of {board.other_fits} run(s) are of a later fit that does not give the run's accuracies "
            f"to the last digit, as happens on another machine."
        )
    return [*small_print, main.note] if main.note else small_print


def _lines(board: ScoreBoard) -> tuple[list[Line], dict[str, int]]:
    """All rows, and the reasons for what is not applicable with their numbers."""
    reasons: dict[str, int] = {}
    lines: list[Line] = []
    several = settings_differ(board.main)
    for _, group in groupby(board.table.to_dict("records"), itemgetter("method", "encoder", "shots")):
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
            lines.append(Line(method, str(row["scorer"]), tuple(cells), runs, i == 0, lacks))
    return lines, reasons


def _title(board: ScoreBoard) -> str:
    return f"{board.main.suite.name}: methods by detection score"


def _head(board: ScoreBoard, name: str) -> str:
    count = "" if name in (DETECTION, FPR_MEAN) else f" (n = {images(board.main, name.split('/', 1)[1])})"
    return f"{_short(board, name)}{count}"


def _short(board: ScoreBoard, name: str) -> str:
    metric, split = name.split("/", 1)
    return f"{MEASURES[metric]} {'mean' if name in (DETECTION, FPR_MEAN) else split}"
