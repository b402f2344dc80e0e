"""The tables that a results folder commits: written from its runs, or checked against them."""

from __future__ import annotations

from pathlib import Path

from croftbench.errors import UsageError
from croftbench.files import write_atomically
from croftbench.report import score_table, tables
from croftbench.report.formats import data, markdown, scores
from croftbench.report.rows import no_garbage
from croftbench.report.tables import Board


def write_leaderboards(board: Board) -> list[Path]:
    """Bring the suite's committed tables up to date: `leaderboards/<suite>.csv`, `<suite>-scores.csv`, each as `.md`.

    They are of the suite's own seeds, whichever `board` has, and hold no published rows: they are what the runs that
    were read for it derive, and the same runs give the same bytes. A suite without unknown classes has no scores. What
    is up to date already is not written: a folder may be read-only.

    Raises:
        DataError: no run of the suite's own seeds; or the folder cannot be written to.
        UsageError: the board is of runs that were handed over, and so belongs to no results folder.
    """
    files = _files(board)
    for path, text in files.items():
        if not _is(path, text):
            write_atomically(path, text, "--results")
    return list(files)


def stale_leaderboards(board: Board) -> list[Path]:
    """The committed tables that differ from what the runs derive, or are missing; nothing is written.

    Raises:
        DataError, UsageError: see `write_leaderboards`.
    """
    return [path for path, text in _files(board).items() if not _is(path, text)]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


@no_garbage()
def _files(board: Board) -> dict[Path, str]:
    suite = board.suite
    if board.source is None:
        raise UsageError(
            f"this leaderboard of {suite.name} was not read from a results folder, so there are no files of it.",
            "Print it instead.",
        )
    whole = board.seeds == suite.protocol.seeds and not board.places
    own = board.measured if whole else tables.board(board.source)
    base = board.source.folder / "leaderboards"
    files = {base / f"{suite.name}.csv": data.to_wide(own), base / f"{suite.name}.md": markdown.to_markdown(own)}
    if suite.semantic:
        by_score = score_table.board(own)
        files[base / f"{suite.name}-scores.csv"] = scores.to_csv(by_score)
        files[base / f"{suite.name}-scores.md"] = scores.to_markdown(by_score)
    return files
