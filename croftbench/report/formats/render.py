"""Leaderboards as text in every format, and the committed files. CSV and JSON are in `records`, LaTeX in `latex`."""

from __future__ import annotations

import html
from pathlib import Path

from rich.table import Table
from rich.text import Text
from tabulate import tabulate

from croftbench.files import write_atomically
from croftbench.report.cells import TIE, Cell, Line, caption, header, label, lines, settings_differ, title
from croftbench.report.formats import data
from croftbench.report.tables import Leaderboard, leaderboard
from croftbench.suites.language import Suite


def write_leaderboards(results_dir: Path, suite: Suite) -> list[Path]:
    """Rebuild the suite's committed tables, `leaderboards/<suite>.csv`, `<suite>-scores.csv` and both as `.md`.

    A suite without unknown classes has no scores.

    The same runs give the same bytes.

    Raises:
        DataError: see `tables.leaderboard`; or the folder cannot be written to.
    """
    files = _files(results_dir, suite)
    for path, text in files.items():
        write_atomically(path, text)
    return list(files)


def stale_leaderboards(results_dir: Path, suite: Suite) -> list[Path]:
    """The committed tables that differ from what the runs derive, or are missing; nothing is written."""
    files = _files(results_dir, suite)
    return [path for path, text in files.items() if not path.is_file() or path.read_bytes() != text.encode()]


def _files(results_dir: Path, suite: Suite) -> dict[Path, str]:
    from croftbench.report import score_table
    from croftbench.report.formats import scores

    board, base = leaderboard(results_dir, suite), results_dir / "leaderboards"
    main = {base / f"{suite.name}.csv": data.to_wide(board), base / f"{suite.name}.md": to_markdown(board)}
    if not suite.semantic:  # accuracy only
        return main
    scored = score_table.board(results_dir, suite)
    return main | {
        base / f"{suite.name}-scores.csv": scores.to_csv(scored),
        base / f"{suite.name}-scores.md": scores.to_markdown(scored),
    }


# ------------------------------------------------------------------------------------- Markdown


def to_markdown(board: Leaderboard) -> str:
    """The table for GitHub: percent, "mean ± std" over seeds, marks as the caption says."""
    headers = ["#", "Method", "Encoder", "Shots", *(header(board, name) for name in board.metrics), "Runs"]
    rows = [
        [
            *map(markdown, (line.rank, line.title, line.encoder, line.shots)),
            *map(markdown_cell, line.cells),
            line.runs,
        ]
        for line in lines(board)
    ]
    align = ("right", "left", "left", "right", *("right" for _ in board.metrics), "right")
    body = tabulate(rows, [markdown(name) for name in headers], "pipe", colalign=align, disable_numparse=True)
    return "\n\n".join([f"# {markdown(title(board))}", *map(markdown, caption(board)), body]) + "\n"


def markdown_cell(cell: Cell) -> str:
    """A number with its marks."""
    opening, closing = {"best": ("**", "**"), "second": ("<ins>", "</ins>"), "": ("", "")}[cell.mark]
    return f"{opening}{cell.text}{closing}{f' {TIE}' if cell.tie else ''}"


def markdown(text: str) -> str:
    """Plain text on one line of Markdown: no cell break, no markup, no GitHub mathematics."""
    for character in "\\|*_<`[~$":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


# ------------------------------------------------------------------------------------- terminal


def to_rich(board: Leaderboard) -> Table:
    """The table for a terminal, turned: one line a metric and one column a row of the leaderboard, best first.

    Fits 80 columns for up to three methods. Names are never read as markup.
    """
    table = Table(title=Text(title(board)), caption=Text("\n".join(caption(board)), justify="left"))
    table.add_column("%")
    table.add_column("n", justify="right")
    shown = lines(board)
    several = settings_differ(board)
    for line in shown:
        name = f"{line.title}\n{line.setting}" if several else line.title
        table.add_column(Text(name), justify="right", overflow="fold")
    for position, name in enumerate(board.metrics):
        measure, split, images = label(board, name)
        following = board.metrics[position + 1 : position + 2]
        ends = not following or following[0].split("/")[0] != name.split("/")[0]
        cells = (rich_cell(line.cells[position]) for line in shown)
        table.add_row(Text(f"{measure} {split}"), images, *cells, end_section=ends)
    table.add_row("rank", "", *(line.rank for line in shown))
    table.add_row("runs", "", *(line.runs for line in shown))
    return table


def rich_cell(cell: Cell) -> Text:
    """A number with its marks."""
    style = {"best": "bold", "second": "underline", "": ""}[cell.mark]
    return Text.assemble((cell.text, style), TIE if cell.tie else "")


# ------------------------------------------------------------------------------------- HTML


def to_html(board: Leaderboard) -> str:
    """The table as an HTML fragment, all text escaped; intervals and ranges over seeds appear on hover."""
    heads = ["#", "Method", "Encoder", "Shots", *(header(board, name) for name in board.metrics), "Runs"]
    small_print = "".join(f"<p>{_html(text)}</p>" for text in caption(board))
    parts = [
        f'<figure class="croftbench-leaderboard" data-suite="{_html(board.suite.name)}">',
        "<table>",
        f"<caption>{_html(title(board))}</caption>",
        "<thead>",
        "<tr>" + "".join(f'<th scope="col">{_html(text)}</th>' for text in heads) + "</tr>",
        "</thead>",
        "<tbody>",
        *(_html_line(line) for line in lines(board)),
        "</tbody>",
        "</table>",
        f"<figcaption>{small_print}</figcaption>",
        "</figure>",
    ]
    return "\n".join(parts) + "\n"


def _html_line(line: Line) -> str:
    kind = ' class="published"' if line.published else ""
    name = f'<th scope="row">{_html(line.title)}</th>'
    cells = "".join(_html_cell(cell) for cell in line.cells)
    lead = f"<td>{_html(line.rank)}</td>{name}<td>{_html(line.encoder)}</td><td>{_html(line.shots)}</td>"
    return f"<tr{kind}>{lead}{cells}<td>{_html(line.runs)}</td></tr>"


def _html_cell(cell: Cell) -> str:
    tag = {"best": "strong", "second": "u", "": ""}[cell.mark]
    text = f"<{tag}>{_html(cell.text)}</{tag}>" if tag else _html(cell.text)
    hover = f' title="{_html(cell.detail)}"' if cell.detail else ""
    return f"<td{hover}>{text}{f' {TIE}' if cell.tie else ''}</td>"


def _html(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=True)
