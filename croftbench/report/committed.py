"""The committed tables, `leaderboards/<suite>.csv`, `<suite>-scores.csv` and both as `.md`: written, and checked.

The same runs give the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from croftbench.files import write_atomically
from croftbench.report import score_table, tables
from croftbench.report.formats import data, markdown
from croftbench.report.rows import SuiteRuns
from croftbench.report.tables import Board


def write(source: SuiteRuns, board: Board | None = None) -> list[Path]:
    """Rebuild a suite's committed tables, of its own seeds; their paths.

    `board` saves making it again where it is there; one of other seeds is left alone.

    Raises:
        DataError: see `tables.board`; or the folder cannot be written to.
    """
    files = _files(source, board)
    for path, text in files.items():
        write_atomically(path, text, "--results")
    return list(files)


def stale(source: SuiteRuns) -> list[Path]:
    """The committed tables that differ from what the runs derive, or are missing; nothing is written.

    Raises:
        DataError: see `tables.board`.
    """
    files = _files(source)
    return [path for path, text in files.items() if not path.is_file() or path.read_bytes() != text.encode()]


def _files(source: SuiteRuns, made: Board | None = None) -> dict[Path, str]:
    """Path -> text. A suite without unknown classes has no scores."""
    own = made is not None and made.seeds == source.suite.protocol.seeds
    board = replace(made, reported=()) if made is not None and own else tables.board(source)
    base, name = source.folder / "leaderboards", source.suite.name
    main = {base / f"{name}.csv": data.to_wide(board), base / f"{name}.md": markdown.to_markdown(board)}
    if not source.suite.semantic:
        return main
    scored = score_table.board(board)
    return main | {
        base / f"{name}-scores.csv": data.scores_to_csv(scored),
        base / f"{name}-scores.md": markdown.scores_to_markdown(scored),
    }
