"""The table of methods by scores as people read it: percent, marks, footnotes and small print."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from croftbench.report.cells import MEASURES, TIE, TRANSDUCTIVE, Cell, column, images, settings_differ
from croftbench.report.rows import marked
from croftbench.report.score_table import FPR_MEAN, ScoreBoard
from croftbench.report.tables import DETECTION

KEYS = ("method", "encoder", "shots")
"""What rows of one method share."""


@dataclass(frozen=True)
class Line:
    """One row as shown; `first` of its method's; `lacks` runs for another reason than that it is not applicable."""

    method: str
    scorer: str
    cells: tuple[Cell, ...]
    runs: str
    first: bool
    lacks: bool


def lines(board: ScoreBoard) -> tuple[list[Line], dict[str, int]]:
    """All rows, and the reasons for what is not applicable with their numbers."""
    reasons: dict[str, int] = {}
    shown_lines: list[Line] = []
    several = settings_differ(board.main)
    records = board.table.to_dict("records")
    names = shown(board)
    for _, group in groupby(range(len(records)), key=lambda i: [records[i][key] for key in KEYS]):
        part = list(group)
        cells = {name: column([records[i] for i in part], name) for name in names}
        for position, i in enumerate(part):
            row = records[i]
            method = marked(str(row["method"]), row)
            own = [cells[name][position] for name in names]
            if row["not_applicable"]:
                number = reasons.setdefault(f"Not applicable: {row['not_applicable']}", len(reasons) + 1)
                own = [cell if cell.text else Cell(f"n/a [{number}]") for cell in own]
            if several:
                method = f"{method} ({row['encoder']}, {row['shots']} shots)"
            runs = f"{row['runs']}/{row['runs_expected']}"
            lacks = not (row["ranked"] or row["not_applicable"])
            shown_lines.append(Line(method, str(row["scorer"]), tuple(own), runs, position == 0, lacks))
    return shown_lines, reasons


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
    paragraphs = [
        f"Suite {suite.name} version {suite.version}, digest {suite.digest[:12]}; encoder "
        f"{', '.join(dict.fromkeys(board.table['encoder']))}; seeds {', '.join(map(str, main.seeds))}{folds}; "
        f"{main.precision}.",
        f"All in percent, mean ± standard deviation over seeds. Positives: all ID images (n = {images(main, 'id')} a "
        f"seed). Negatives: {semantic}; the mean is over these. FPR95 is the share of negatives accepted when 95% of "
        f"ID is accepted (ID positive).",
        f"Methods in the order of the leaderboard, scores by falling mean AUROC. Of each method's scores the best in "
        f"bold, the second underlined; {TIE} ties with the best: the best lies within this value's own 95% interval "
        f"over images. {', '.join(protocol.scorers)} are the suite's own, {protocol.headline} its headline; the others "
        f"are computed from the same outputs, nothing is trained for them (`croftbench list scorers`).",
    ]
    if board.table["transductive"].any():
        paragraphs.append(TRANSDUCTIVE)
    if board.other_fits:
        paragraphs.append(
            f"Post-hoc scores of {board.other_fits} run(s) are of a later fit that does not give the run's accuracies "
            f"to the last digit, as happens on another machine."
        )
    return [*paragraphs, main.note] if main.note else paragraphs


def title(board: ScoreBoard) -> str:
    return f"{board.main.suite.name}: methods by detection score"


def head(board: ScoreBoard, name: str) -> str:
    count = "" if name in (DETECTION, FPR_MEAN) else f" (n = {images(board.main, name.split('/', 1)[1])})"
    return f"{short(board, name)}{count}"


def short(board: ScoreBoard, name: str) -> str:
    metric, split = name.split("/", 1)
    return f"{MEASURES[metric]} {'mean' if name in (DETECTION, FPR_MEAN) else split}"
