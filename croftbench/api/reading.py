"""What is on disk: runs, their tables, comparisons, pictures, the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from croftbench.api.board import Leaderboard
from croftbench.api.suite_choice import SuiteLike, no_runs, suite_of, suites_of
from croftbench.errors import UsageError, unknown
from croftbench.locations import Folder, Folders
from croftbench.runs import results as run_files
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.report.compare import Comparison
    from croftbench.report.style import Picture
    from croftbench.report.tables import Board
    from croftbench.runs.results import RunResult


def load_runs(suite: str | None = None, *, results: Folder = None) -> list[RunResult]:
    """All finished runs, of one suite or of all, in the order of their paths.

    Raises:
        DataError: a run's file is damaged, or was changed.
    """
    return list(run_files.read_all(Folders.of(results).results, suite))


def load_run(run_id: str, *, results: Folder = None) -> RunResult:
    """The run of that identifier, or of the only one that begins so.

    Raises:
        UsageError: no run begins so, or several do.
    """
    folder = Folders.of(results).results
    paths = sorted((folder / "runs").glob(f"*/*/{run_id}*.json"))
    if len(paths) != 1:
        if len(paths) > 1:
            found = ", ".join(path.stem for path in paths[:5]) + (", ..." if len(paths) > 5 else "")
            raise UsageError(
                f"{len(paths)} runs begin with '{run_id}': {found}.", f"`croftbench show {paths[0].stem}` shows one."
            )
        there = next(iter(sorted((folder / "runs").glob("*/*/*.json"))), None)
        if there is None:
            raise no_runs(folder)
        raise UsageError(
            f"no run begins with '{run_id}' in {folder / 'runs'}.", f"`croftbench show {there.parent.name}` lists some."
        )
    return run_files.read(paths[0])


def find_runs(
    name: str,
    suites: SuiteLike | Sequence[SuiteLike] = (),
    *,
    results: Folder = None,
    cache: Folder = None,
    manifests: Folder = None,
) -> list[RunResult]:
    """The run of an identifier or its first digits; else every run of the rows that tables give this name.

    Args:
        name: "1f6a", or "croft, lambda2=0".
        suites: only runs of these; all where empty.

    Raises:
        UsageError: there is none.
    """
    folders = Folders.of(results, cache, manifests=manifests)
    chosen = {suite_of(one, folders).name for one in ([suites] if isinstance(suites, str | Path | Suite) else suites)}
    if re.fullmatch("[0-9a-f]+", name):
        return [load_run(name, results=results)]
    runs = [run for run in load_runs(results=results) if not chosen or run.spec.suite in chosen]
    if not runs:
        raise no_runs(folders.results)
    from croftbench.report import lookup

    return lookup.named(runs, [name], folders.manifests, folders.cache)


def leaderboard(
    suite: SuiteLike = "emoji-open",
    *,
    seeds: Sequence[int] | Literal["all"] | None = None,
    methods: Sequence[str] = (),
    latest: bool = False,
    published: bool = False,
    results: Folder = None,
    cache: Folder = None,
    manifests: Folder = None,
) -> Leaderboard:
    """The suite's table from the runs on disk.

    Args:
        suite: runs on any other digest of it are left out and counted.
        seeds: to average over; the suite's own where None, and "all" that there are.
        methods: only the rows of these names, as tables print them; all where empty.
        latest: of rows that differ only in the version of their code or in the images, only the one that ran last.
        published: put the published rows that measure the same below it.
        results, cache, manifests: folders, see `croftbench.api`.

    Raises:
        UsageError: a name without a row.
        DataError: no run to show, or runs that must not share a table.
    """
    from dataclasses import replace

    from croftbench.report import agreement, subset, typed
    from croftbench.report import published as rows

    folders = Folders.of(results, cache, manifests=manifests)
    board = _board(suite, folders, seeds)
    if latest:
        board = subset.only(board, subset.latest(board))
    if methods:
        board = subset.only(board, typed.choose(board.rows, methods))
    if published:
        board = replace(board, reported=agreement.matching(rows.read_all(folders.results), board))
    return Leaderboard(board)


def stale_tables(
    suite: SuiteLike, *, results: Folder = None, cache: Folder = None, manifests: Folder = None
) -> list[Path]:
    """The suite's committed tables that differ from what its runs derive.

    Raises:
        DataError: see `leaderboard`.
    """
    return stale_in(suite, Folders.of(results, cache, manifests=manifests))


def stale_in(suite: SuiteLike, folders: Folders) -> list[Path]:
    """The same, in folders that are chosen."""
    from croftbench.report import committed

    return committed.stale_leaderboards(_board(suite, folders))


def compare(
    a: str,
    b: str,
    suites: SuiteLike | Sequence[SuiteLike] = (),
    *,
    scorer: str | None = None,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
) -> Comparison:
    """Two methods on the same images: paired tests of accuracy and detection, corrected for their number.

    Args:
        a, b: a name as tables print it, 'method name=value', or the identifier of one of its runs.
        suites: all with runs where empty.
        scorer: of the detection tests; each suite's headline where None. One that the per-image tables lack is made
            from the outputs that the runs left in the cache.
        results, cache, data_root, manifests: folders, see `croftbench.api`.

    Raises:
        UsageError: a name that fits nothing or several configurations; no suite that has both.
        DataError: a per-image table is missing, damaged, or of other images, or the score's outputs are not kept.
    """
    from croftbench.api.image_scores import ImageScores
    from croftbench.report import compare as comparing

    folders = Folders.of(results, cache, data_root, manifests)
    chosen, more = suites_of(suites, folders), ImageScores(scorer, folders) if scorer else None
    return comparing.compare(folders.results, chosen, a, b, scorer, folders.roots, folders.cache, more)


def plot(
    kind: str,
    suite: SuiteLike = "emoji-open",
    methods: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    columns: int = 0,
    scorer: str | None = None,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
) -> Picture:
    """A picture of a suite's runs: "energy", "roc", "pareto", "shots" or "calibration".

    Args:
        methods: names as tables print them; all with runs where empty.
        output: a file to write it to, ending in .pdf, .png or .svg.
        columns: of a paper in two columns that it is drawn for, 1 or 2, without its caption; 0 for a screen.
        scorer: as in `compare`, in the place of the suite's headline.

    Raises:
        UsageError: a kind, a method or a score that is not there, another ending.
        DataError: no runs, or none with what the picture needs.
    """
    from croftbench.api.image_scores import ImageScores
    from croftbench.report import board_rows, headed, plots, rows, style, subset, tables, typed

    folders = Folders.of(results, cache, data_root, manifests)
    path = None if output is None else Path(output)
    if path is not None and path.suffix.lower() not in (".pdf", ".png", ".svg"):
        raise UsageError(f"a picture cannot be written as '{path.name}'.", "End its name in .pdf, .png or .svg.")
    if columns not in (0, *style.PAPERS):
        raise UsageError(f"a picture cannot be {columns} columns wide.", "1 or 2, as in a paper; left out, a screen.")
    if kind not in plots.KINDS:
        raise unknown("kind of plot", kind, plots.KINDS)
    source = rows.read(folders.results, suite_of(suite, folders), folders.cache)
    if scorer:
        source = headed.headed(source, scorer, ImageScores(scorer, folders))
    board = tables.board(source)
    board = subset.only(board, typed.choose(board.rows, methods)) if methods else board
    picture = plots.draw(kind, board, board_rows.collect(board), style.PAPERS.get(columns, style.SCREEN))
    if path is not None:
        style.save(picture, path, caption=not columns)
    return picture


def write_page(
    suites: SuiteLike | Sequence[SuiteLike] = (),
    folder: str | Path = "site",
    *,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
) -> Path:
    """Write one self-contained HTML page of the suites (all with runs where empty); its path.

    Its gallery names the images that are hard, of data sets in `data_root` too; what is drawn is kept in the cache.

    Raises:
        UsageError: there are no runs.
        DataError: see `leaderboard`; or the folder cannot be written to.
    """
    from croftbench.report import page

    folders = Folders.of(results, cache, data_root, manifests)
    return page.write(folders.results, suites_of(suites, folders), Path(folder), folders.cache, folders.roots)


def _board(suite: SuiteLike, folders: Folders, seeds: Sequence[int] | Literal["all"] | None = None) -> Board:
    from croftbench.report import rows, tables

    with rows.no_garbage():
        source = rows.read(folders.results, suite_of(suite, folders), folders.cache)
        if seeds == "all":
            seeds = sorted({run.spec.seed for run in source.runs})
        return tables.board(source, tuple(seeds) if seeds else None)
