"""A leaderboard as people read it: percent, marks, labels and small print; the formats only dress it.

The only place where fractions become rounded percentages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from croftbench.report import columns, populations
from croftbench.report.columns import Column
from croftbench.report.published import PublishedRow
from croftbench.report.rows import marked
from croftbench.report.tables import Board
from croftbench.stats import ties
from croftbench.suites.language import Suite

PARETO = "◆"
TIE = "≈"
TRANSDUCTIVE = (
    "(transductive): what is said of an image depends on the other images of its test split, which are predicted "
    "together; the other rows see one image at a time."
)
STREAM = (
    "(stream): a score that learns from the test images it is shown, here all ID images and one open set at a time, "
    "shuffled by the run's seed ({}); the other scores see one image at a time."
)
TIED = "†"


@dataclass(frozen=True)
class Cell:
    """One number as shown.

    Attributes:
        text: "mean ± std" over seeds, or the mean alone; "" where there is none.
        mark: "best" or "second" of the ranked rows, or "".
        tie: the best is within this value's 95% interval over images.
        detail: the interval, and the range over seeds; "" where there is none.
    """

    text: str
    mark: Literal["best", "second", ""] = ""
    tie: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Line:
    """One row as shown: measured, or published elsewhere."""

    rank: str
    method: str
    encoder: str
    shots: str
    runs: str
    pareto: bool
    published: bool
    tied: bool
    cells: tuple[Cell, ...]
    run_ids: str = ""

    @property
    def title(self) -> str:
        """The method, with the marks of the Pareto front and of scores that tie."""
        return " ".join([self.method, *(mark for mark, has in ((PARETO, self.pareto), (TIED, self.tied)) if has)])

    @property
    def setting(self) -> str:
        """Encoder and shots, where known; to be shown where rows differ in them."""
        return ", ".join(part for part in (self.encoder, f"{self.shots} shots" if self.shots else "") if part)


def lines(board: Board, *, details: bool = True) -> list[Line]:
    """Measured rows in the table's order, then published ones; with `details`, each cell has its own."""
    rows = board.records
    by_column = [column(rows, one.name, details=details) for one in board.shown]
    several = sum(bool(row["ranked"]) for row in rows) > 1  # a front of one says nothing
    measured = [
        Line(
            rank=str((board.places[i] if board.places else i) + 1) if row["ranked"] else "–",
            method=marked(str(row["method"]), row),
            encoder=str(row["encoder"]),
            shots=str(row["shots"]),
            runs=f"{row['runs']}/{row['runs_expected']}",
            pareto=bool(row["pareto"]) and several,
            published=False,
            tied=is_tied(row),
            cells=tuple(cells),
            run_ids=str(row["run_ids"]),
        )
        for i, (row, cells) in enumerate(zip(rows, zip(*by_column, strict=True), strict=True))
    ]
    return measured + [published_line(board, row) for row in board.reported]


def published_line(board: Board, row: PublishedRow) -> Line:
    """A published row as shown: its numbers of the headline score, or where it has none of these, of another."""
    scorer = row.scorer(board.suite.protocol.headline) or ""
    values = [row.value(one.name, scorer) for one in board.shown]
    head = row.head
    return Line(
        "–", row.name, head.encoder, head.shots, head.provenance, False, True, False,
        tuple(Cell("" if value is None else percent(value)) for value in values),
    )  # fmt: skip


def column(rows: Sequence[Mapping[Any, Any]], name: str, *, details: bool = True) -> list[Cell]:
    """One metric's cells.

    Values are compared as they are shown, so that rows that look equal are marked alike.
    """
    lower = name.split("/")[0] in columns.LOWER
    ranked = sorted((row[name] for row in rows if row["ranked"] and row[name] == row[name]), reverse=not lower)
    distinct = list(dict.fromkeys(map(percent, ranked)))
    best = ranked[0] if len(ranked) > 1 else None
    cells = []
    for row in rows:
        shown = percent(row[name])
        mark: Literal["best", "second", ""] = ""
        tie = False
        if best is not None and row["ranked"] and shown:
            mark = "best" if shown == distinct[0] else ""
            # Of two rows the other one needs no mark.
            mark = "second" if len(ranked) > 2 and shown in distinct[1:2] else mark
            tie = mark != "best" and bool(row[f"{name}_low"] <= best <= row[f"{name}_high"])
        deviation = percent(row[f"{name}_std"])
        text = f"{shown} ± {deviation}" if deviation else shown
        cells.append(Cell(text, mark, tie, _detail(row, name) if shown and details else ""))
    return cells


def _detail(row: Mapping[Any, Any], name: str) -> str:
    interval, span = (
        f"{percent(row[f'{name}{low}'])} to {percent(row[f'{name}{high}'])}"
        for low, high in (("_low", "_high"), ("_min", "_max"))
    )
    return f"95% over images {interval}" + (f"; seeds {span}" if row["seeds"] > 1 else "")


def percent(fraction: float) -> str:
    """Two decimals, "" for NaN."""
    return "" if fraction != fraction else f"{100 * fraction:.2f}"


# ------------------------------------------------------------------------------------- labels and small print


def label(board: Board, of: Column) -> tuple[str, str, str]:
    """A metric column's measure and population for people, and its number of images ("" for means over several)."""
    return of.measure, of.title, images(board, of.images) if of.images else ""


def header(board: Board, of: Column) -> str:
    """A metric column's heading in one line."""
    measure, split, count = label(board, of)
    return f"{measure} {split} (n = {count})" if count else f"{measure} {split}"


def images(board: Board, split: str) -> str:
    """How many images a seed, or the range over rows where they differ; complete rows speak for the table."""
    counts, ranked = board.table[f"n/{split}"], board.table["ranked"]
    counts = (counts[ranked] if ranked.any() else counts).dropna()
    if counts.empty:
        return "0"
    low, high = f"{counts.min():,.0f}", f"{counts.max():,.0f}"
    return low if low == high else f"{low} to {high}"


def _positives(suite: Suite) -> str:
    """Whose scores detection holds against those of unknown classes."""
    which = "correctly classified" if suite.protocol.id_filter == "correct" else "all"
    if suite.reference is None:
        return f"{which} ID images"
    of = {"val": "validation", "covariate": "covariate-shifted"}[suite.reference.role]
    limit = f", at most {suite.reference.per_class} a class" if suite.reference.per_class else ""
    return f"{which} {of} images{limit}"


def _source(row: PublishedRow, headline: str) -> str:
    """Where a published row is from, and what differs from the table's own."""
    parts = [row.head.source, row.head.prompts or "prompts not stated"]
    scorer = row.scorer(headline)
    if scorer not in (None, headline):
        parts.append(f"score {scorer or 'not stated'}")
    return f"{row.name}: {', '.join(parts)}"


SUMMARIES = {
    columns.WORST: "Worst domain: the least of the left-out domains in each seed.",
    columns.H: "H = 2ab / (a + b), a the accuracy of ID (base) and b of new classes under their names, folds averaged "
    "first.",
    columns.FPR_MEAN: "Semantic mean: over all open sets.",
    "auroc/near-mean": "Near and far mean: over the open sets of that level, as in OpenOOD.",
    columns.SHIFTED: "AUROC, shifted: positives = covariate-shifted images, mean over covariate and semantic shifts.",
    "auroc/full-spectrum": "Full (spectrum): positives = ID and covariate-shifted images together.",
}
"""What a column that sums up others is, for the small print of the suites that show it."""


def _summaries(board: Board) -> str:
    there = {one.name for one in board.shown}
    return "".join(f" {text}" for name, text in SUMMARIES.items() if name in there)


def is_tied(row: Mapping[Any, Any]) -> bool:
    return bool(row[columns.TIES] > ties.LIMIT)


def tied(rows: Sequence[tuple[str, Mapping[Any, Any]]]) -> list[str]:
    """The footnote on rows whose scores tie, by name: a paragraph, or none where there is no such row."""
    shares = [f"{name} {100 * row[columns.TIES]:.0f}%" for name, row in rows if is_tied(row)]
    if not shares:
        return []
    return [
        f"{TIED} more than {100 * ties.LIMIT:.0f}% of its scores tie, so AUROC and FPR95 depend on how ties count: "
        f"{', '.join(shares)} of the images of ID and of one open set score as an image of the other does."
    ]


def settings_differ(board: Board) -> bool:
    """Whether a row's encoder and shots must stand beside its method; the caption has them otherwise."""
    return bool(board.reported) or len(board.table[["encoder", "shots"]].drop_duplicates()) > 1


def title(board: Board) -> str:
    """The suite's name and title."""
    return f"{board.suite.name}: {board.suite.title}"


def caption(board: Board) -> list[str]:
    """What the numbers are, one paragraph each: the suite, the populations and n, the conventions, what is missing."""
    return [*about(board), *_conventions(board), *remarks(board)]


def about(board: Board) -> list[str]:
    """The suite, the encoder and the seeds; the populations and their images."""
    suite = board.suite
    encoders = ", ".join(dict.fromkeys(board.table["encoder"]))
    seeds = ", ".join(map(str, board.seeds))
    shots = ", ".join(map(str, sorted(set(board.table["shots"]))))
    folds = f", {len(suite.folds)} folds averaged within each seed" if len(suite.folds) > 1 else ""
    shifts = ", ".join(f"{name} (n = {images(board, name)})" for name in columns.covariate(suite)) or "none"
    semantic = ", ".join(f"{split.name} (n = {images(board, split.name)})" for split in suite.semantic) or "none"
    named = "".join(f"; own names given: {name} (n = {images(board, name)})" for name in suite.named)
    return [
        f"Suite {suite.name} version {suite.version}, digest {suite.digest[:12]}; encoder {encoders}; {shots} shots; "
        f"seeds {seeds}{folds}; {board.precision}.",
        f"Populations, images a seed: ID (n = {images(board, 'id')}); covariate shift: {shifts}; semantic shift: "
        f"{semantic}{named}.",
    ]


def _conventions(board: Board) -> list[str]:
    """How the numbers are made, and what their marks and their order mean."""
    suite, protocol = board.suite, board.suite.protocol
    order = "mean accuracy under covariate shift" if columns.covariate(suite) else "ID accuracy"
    return [
        f"All in percent, mean ± standard deviation over seeds. Acc: top-1 accuracy. FPR95 and AUROC: score "
        f"{protocol.headline}, positives = {_positives(suite)}, negatives = the named semantic shift; FPR95 is the "
        f"share of negatives accepted when at least 95% of ID is accepted (ID positive).{_summaries(board)}",
        f"Ordered by {order}. Best in bold; of three or more, second underlined. {TIE} "
        f"ties with the best: the best lies within this value's own 95% interval over images, averaged over seeds "
        f"(croftbench compare tests such pairs on the same images). "
        f"{PARETO} no other row is at least as good in both mean accuracy under covariate shift and mean AUROC of the "
        f"semantic shifts, and better in one. Rows that lack seeds or folds (Runs) come last and are not ranked.",
    ]


def remarks(board: Board) -> list[str]:
    """What must be said of some of the rows, and what was left out."""
    small_print = []
    if (board.table["caveat"] != populations.NONE).any():
        copies = "; ".join(populations.shortfalls(row.runs for row in board.rows))
        small_print.append(
            f"Not ranked: rows of an incomplete copy of the data ({populations.INCOMPLETE}), or of other images than "
            f"most rows ({populations.OTHER}). {copies}. `croftbench data status` says what is missing."
        )
    if alike := populations.namesakes(run for row in board.rows for run in row.runs):
        small_print.append(f"Namesakes, a fold and seed: {'; '.join(alike)}. Names do not tell them apart.")
    small_print += tied([(marked(str(row["method"]), row), row) for row in board.records])
    if board.reported:
        sources = "; ".join(_source(row, board.suite.protocol.headline) for row in board.reported)
        small_print.append(f"Published elsewhere, shown as printed and never ranked: {sources}.")
    if board.table["transductive"].any():
        small_print.append(TRANSDUCTIVE)
    return [*small_print, board.note] if board.note else small_print
