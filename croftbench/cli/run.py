"""`croftbench run`: evaluate methods on suites."""

from __future__ import annotations

from croftbench.api import running
from croftbench.api.board import Leaderboard
from croftbench.api.reading import suite_of
from croftbench.cli.console import note, out
from croftbench.cli.options import (
    AllowIncomplete,
    Cache,
    DataRoot,
    Device,
    Encoder,
    Manifests,
    Methods,
    Preprocess,
    Recipe,
    Results,
    Scores,
    Seeds,
    Settings,
    Shots,
    Suites,
    Views,
    names_of,
    seeds_of,
)  # fmt: skip
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError
from croftbench.locations import Folders
from croftbench.progress import Bars
from croftbench.suites.language import Suite

EXAMPLES = """
croftbench run -m zero-shot,coop,croft
croftbench run -m path/to/mine.py:Mine -s emoji-open --set alpha=3
croftbench run -m all -s setup1 -e ViT-B-16/openai --data-root ~/data
croftbench run -m croft --scorers all --seeds 1,2
"""


def run(
    method: Methods,
    suite: Suites = "emoji-open",
    encoder: Encoder = EMBEDDED,
    preprocess: Preprocess = "",
    seeds: Seeds = "",
    shots: Shots = None,
    views: Views = None,
    recipe: Recipe = None,
    settings: Settings = None,
    scores: Scores = "",
    device: Device = "auto",
    allow_incomplete: AllowIncomplete = False,
    results: Results = None,
    cache: Cache = None,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Train and evaluate methods; finished runs are found and not repeated."""
    folders = Folders.of(results, cache, data_root, manifests)
    names = names_of(suite)
    suites = _runnable(folders) if names == ["all"] else [suite_of(name, folders) for name in names]
    drawn, failures = seeds_of(seeds), 0
    for each in suites:
        with Bars() as bars:
            try:
                board = running.run(
                    names_of(method), each, encoder=encoder, preprocess=preprocess, seeds=drawn, shots=shots,
                    views=views, recipe=recipe, settings=settings or (), scores=scores, device=device,
                    allow_incomplete=allow_incomplete, results=results, cache=cache, data_root=data_root,
                    manifests=manifests, progress=bars,
                )  # fmt: skip
            except running.FailedRunsError as error:
                failures += len(error.failures)
                if error.leaderboard is None:
                    continue
                board = error.leaderboard
        _show(board, folders)
    if failures:
        raise CroftbenchError(f"{failures} run(s) failed.", "The finished ones are in the table.")


def _show(leaderboard: Leaderboard, folders: Folders) -> None:
    """Print the table of the seeds that were asked for, and rebuild the suite's files."""
    from croftbench.report.formats import scores, terminal

    board = leaderboard.board
    out.print(terminal.to_rich(board))
    if leaderboard.by_score is not None:
        out.print(scores.to_rich(leaderboard.by_score))
    note(f"Runs are in {folders.results / 'runs' / board.suite.name}. {board.note}".rstrip())
    if set(board.seeds) & set(board.suite.protocol.seeds):
        note(f"Tables: {', '.join(map(str, leaderboard.write_tables()))}.")


def _runnable(folders: Folders) -> list[Suite]:
    """Every suite whose images are here; the others are named."""
    from croftbench.data import status

    able = status.suites(folders.roots, status.splits(folders.roots))
    lacking = [one.suite for one in able if one.lacks]
    if lacking:
        note(f"Left out for want of data (see `croftbench data status`): {', '.join(lacking)}.")
    return [suite_of(one.suite, folders) for one in able if not one.lacks]
