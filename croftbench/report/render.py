"""Leaderboards as CSV, Markdown and terminal tables. The only place where fractions become rounded percentages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from croftbench import results
from croftbench.report.tables import ID, MEAN, SHIFTED, Leaderboard, leaderboard
from croftbench.specs import Suite


def write_leaderboards(results_dir: Path, suite: Suite) -> list[Path]:
    """Rebuild the suite's committed tables, `leaderboards/<suite>.csv` and `.md`; the same runs give the same bytes.

    Raises:
        DataError: see `tables.leaderboard`; or the folder cannot be written to.
    """
    files = _files(results_dir, suite)
    for path, text in files.items():
        results.write_atomically(path, text)
    return list(files)


def stale_leaderboards(results_dir: Path, suite: Suite) -> list[Path]:
    """The committed tables that differ from what the runs derive, or are missing; nothing is written."""
    files = _files(results_dir, suite)
    return [path for path, text in files.items() if not path.is_file() or path.read_bytes() != text.encode()]


def _files(results_dir: Path, suite: Suite) -> dict[Path, str]:
    board = leaderboard(results_dir, suite)
    base = results_dir / "leaderboards"
    return {base / f"{suite.name}.csv": to_csv(board), base / f"{suite.name}.md": to_markdown(board)}


def to_csv(board: Leaderboard) -> str:
    """The table as it is: wide, fractions in full precision, empty where there is no number."""
    return str(board.table.to_csv(index=False, lineterminator="\n"))


def to_markdown(board: Leaderboard) -> str:
    """The table for GitHub: percent, "mean ± std" over seeds, the best of the ranked rows in bold."""
    headers = ["#", "Method", "Encoder", "Shots", *(_header(board, name) for name in board.metrics), "Runs"]
    rows = []
    for lead, cells in _cells(board):
        marked = [f"**{text}**" if best else text for text, best in cells]
        rows.append([_escape(text) for text in lead[:-1]] + marked + [lead[-1]])
    align = ("right", "left", "left", "right", *("right" for _ in board.metrics), "right")
    body = tabulate(rows, [_escape(name) for name in headers], "pipe", colalign=align, disable_numparse=True)
    title = f"# {board.suite.name}: {board.suite.title}"
    return "\n\n".join([title, *caption(board), body]) + "\n"


def to_rich(board: Leaderboard) -> Table:
    """The table for a terminal, turned: one line a metric and one column a row of the leaderboard, best first.

    Fits 80 columns for up to four methods. Names are never read as markup.
    """
    table = Table(
        title=Text(f"{board.suite.name}: {board.suite.title}"), caption=Text("\n".join(caption(board)), justify="left")
    )
    table.add_column("%")
    table.add_column("n", justify="right")
    several = board.table["encoder"].nunique() > 1 or board.table["shots"].nunique() > 1
    columns = []
    for (rank, method, encoder, shots, runs), cells in _cells(board):
        setting = f"\n{encoder}, {shots} shots" if several else ""
        table.add_column(Text(f"{method}{setting}"), justify="right", overflow="fold")
        columns.append(([rank, runs], cells))
    for position, name in enumerate(board.metrics):
        label, images = _label(board, name)
        marked = [Text(text, style="bold" if best else "") for text, best in (cells[position] for _, cells in columns)]
        following = board.metrics[position + 1 : position + 2]
        measure = name.split("/")[0]
        table.add_row(Text(label), images, *marked, end_section=not following or not following[0].startswith(measure))
    for position, label in enumerate(("rank", "runs")):
        table.add_row(label, "", *(lead[position] for lead, _ in columns))
    return table


def caption(board: Leaderboard) -> list[str]:
    """What the numbers are, one paragraph each: the suite, the populations and n, the conventions, what is missing."""
    suite, protocol = board.suite, board.suite.protocol
    encoders = ", ".join(dict.fromkeys(board.table["encoder"]))
    seeds = ", ".join(map(str, board.seeds))
    folds = f", {len(suite.folds)} folds averaged within each seed" if len(suite.folds) > 1 else ""
    covariate = [name.removeprefix("accuracy/") for name in board.metrics if name.startswith("accuracy/")][1:-1]
    shifts = ", ".join(f"{name} (n = {_images(board, name)})" for name in covariate)
    semantic = ", ".join(f"{split.name} (n = {_images(board, split.name)})" for split in suite.semantic)
    lines = [
        f"Suite {suite.name} version {suite.version}, digest {suite.digest[:12]}; encoder {encoders}; seeds {seeds}"
        f"{folds}; {board.precision}.",
        f"Populations, images a seed: ID (n = {_images(board, 'id')}); covariate shift: {shifts}; semantic shift: "
        f"{semantic}.",
        f"All in percent, mean ± standard deviation over seeds. Acc: top-1 accuracy. FPR95 and AUROC: score "
        f"{protocol.headline}, positives = all ID images, negatives = the named semantic shift; FPR95 is the share of "
        f"negatives accepted when 95% of ID is accepted (ID positive). AUROC, shifted: positives = covariate-shifted "
        f"images, mean over covariate and semantic shifts.",
        "Ordered by mean accuracy under covariate shift. Best in bold. Rows that lack seeds or folds (Runs) come last "
        "and are not ranked.",
    ]
    return [*lines, board.note] if board.note else lines


# ------------------------------------------------------------------------------------- cells


def _cells(board: Leaderboard) -> Iterator[tuple[list[str], list[tuple[str, bool]]]]:
    """For each row: rank, method, encoder, shots, coverage; and each metric's text and whether it is the best."""
    table = board.table
    best = {name: _best(table, name) for name in board.metrics}
    for position, row in enumerate(table.to_dict("records"), start=1):
        rank = str(position) if row["ranked"] else "–"
        lead = [rank, row["method"], row["encoder"], str(row["shots"]), f"{row['runs']}/{row['runs_expected']}"]
        cells = []
        for name in board.metrics:
            shown = _percent(row[name])
            text = shown if pd.isna(row[f"{name}_std"]) else f"{shown} ± {_percent(row[f'{name}_std'])}"
            cells.append((text, bool(row["ranked"]) and shown == best[name]))
        yield lead, cells


def _best(table: pd.DataFrame, name: str) -> str | None:
    """The best ranked value as it is shown, so that rows that look equal are marked alike; None with one row."""
    values = table.loc[table["ranked"], name].dropna()
    if len(values) < 2:
        return None
    return _percent(float(values.min() if name.startswith("fpr95/") else values.max()))


def _percent(fraction: float) -> str:
    return "" if pd.isna(fraction) else f"{100 * fraction:.2f}"


def _label(board: Leaderboard, name: str) -> tuple[str, str]:
    """A metric column's name for people, and its number of images ("" for means over several populations)."""
    if name == MEAN:
        return "Acc ↑ covariate mean", ""
    if name == SHIFTED:
        return "AUROC ↑ shifted", ""
    metric, split = name.split("/", 1)
    measure = {"accuracy": "Acc ↑", "fpr95": "FPR95 ↓", "auroc": "AUROC ↑"}[metric]
    return f"{measure} {'ID' if name == ID else split}", _images(board, split)


def _header(board: Leaderboard, name: str) -> str:
    label, images = _label(board, name)
    return f"{label} (n = {images})" if images else label


def _images(board: Leaderboard, split: str) -> str:
    """How many images a seed, or the range over rows where they differ; complete rows speak for the table."""
    table = board.table[board.table["ranked"]] if board.table["ranked"].any() else board.table
    counts = table[f"n/{split}"].dropna()
    if counts.empty:
        return "0"
    low, high = f"{counts.min():,.0f}", f"{counts.max():,.0f}"
    return low if low == high else f"{low} to {high}"


def _escape(text: str) -> str:
    """Plain text inside a Markdown table: no cell break, no markup."""
    for character in "\\|*<`":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
