"""Leaderboards for papers: a LaTeX table that needs the booktabs package, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

from croftbench.report.cells import Cell, Line, caption, label, lines, settings_differ, title
from croftbench.report.tables import Board

SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": "{`}", "–": r"\textendash{}", "±": r"$\pm$",
    "≈": r"$\approx$", "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "◆": r"$\diamond$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip
"""What LaTeX reads as a command, or cannot print without further packages."""

ACCENTS = frozenset("0300 0301 0302 0303 0308 030A 030C 0327".split())
"""Combining characters that every LaTeX font can set."""


def to_latex(board: Board) -> str:
    """A floating table, one row a configuration, columns grouped by measure; all text escaped."""
    shown = lines(board, details=False)
    groups = [list(group) for _, group in groupby(board.shown, key=lambda column: column.metric)]
    heads, rules, at = [], [], 3
    for group in groups:
        heads.append(rf"\multicolumn{{{len(group)}}}{{c}}{{{escape(label(board, group[0])[0])}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + len(group) - 1}}}")
        at += len(group)
    names = [escape(label(board, column)[1]) for column in board.shown]
    counts = [escape(label(board, column)[2]) for column in board.shown]
    several = settings_differ(board)
    measured = [_line(line, several) for line in shown if not line.published]
    published = [_line(line, several) for line in shown if line.published]
    parts = [
        r"% \usepackage{booktabs}",
        r"\begin{table*}",
        r"\centering",
        rf"\caption[{{{escape(title(board))}}}]{{{escape(' '.join([title(board) + '.', *caption(board)]))}}}",
        rf"\label{{tab:{''.join(c if c.isascii() and c.isalnum() else '-' for c in board.suite.name)}}}",
        r"\scriptsize\setlength{\tabcolsep}{2pt}",
        rf"\begin{{tabular}}{{rl{'r' * len(board.shown)}r}}",
        r"\toprule",
        rf" & & {' & '.join(heads)} & \\",
        "".join(rules),
        rf"\# & Method & {' & '.join(names)} & Runs \\",
        rf" & \multicolumn{{1}}{{r}}{{$n$}} & {' & '.join(counts)} & \\",
        r"\midrule",
        *measured,
        *([r"\midrule", *published] if published else []),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table*}",
        *(f"% {' '.join(line.method.split())}: {line.run_ids}" for line in shown if line.run_ids),
    ]
    return "\n".join(parts) + "\n"


def _line(line: Line, several: bool) -> str:
    name = escape(f"{line.title} ({line.setting})" if several and line.setting else line.title)
    return rf"{escape(line.rank)} & {name} & {' & '.join(map(_cell, line.cells))} & {escape(line.runs)} \\"


def _cell(cell: Cell) -> str:
    command = {"best": r"\textbf", "second": r"\underline", "": ""}[cell.mark]
    mean, plus_minus, deviation = cell.text.partition(" ± ")
    text = f"{command}{{{escape(mean)}}}" if command else escape(mean)
    if plus_minus:
        text += rf"{{\tiny$\pm${escape(deviation)}}}"
    return rf"{text}\,$\approx$" if cell.tie else text


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line.

    Characters that stop a plain LaTeX, such as those of other scripts, appear by number as [U+XXXX].
    """
    escaped = "".join(SPECIAL.get(character) or _printable(character) for character in " ".join(text.split()))
    return re.sub("-(?=-)", "-{}", escaped)  # two hyphens would print as one dash


def _printable(character: str) -> str:
    base, _, accent = unicodedata.decomposition(character).partition(" ")
    accented = character <= "ſ" and accent in ACCENTS and chr(int(base, 16)).isascii()
    return character if accented or " " <= character <= "~" else f"[U+{ord(character):04X}]"
