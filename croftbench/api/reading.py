"""What is on disk: runs, their tables, comparisons, pictures, the page, bundles to share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from croftbench.api.board import Leaderboard
from croftbench.errors import UsageError, unknown
from croftbench.files import write_atomically
from croftbench.locations import Folder, Folders
from croftbench.runs import results as run_files
from croftbench.suites import manifest, shelves
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.report.compare import Comparison
    from croftbench.report.style import Picture
    from croftbench.runs.bundle import Imported
    from croftbench.runs.results import RunResult
    from croftbench.runs.spec import RunSpec

SuiteLike = str | Path | Suite
"""A suite's name, its ".toml" file, or the suite itself."""


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
        what = "several runs begin" if paths else "no run begins"
        raise UsageError(
            f"{what} with '{run_id}' in {folder / 'runs'}.", "`croftbench leaderboard` shows what is there."
        )
    return run_files.read(paths[0])


def leaderboard(
    suite: SuiteLike = "emoji-open",
    *,
    seeds: Sequence[int] | None = None,
    published: bool = False,
    results: Folder = None,
    manifests: Folder = None,
) -> Leaderboard:
    """The suite's table from the runs on disk.

    Args:
        suite: runs on any other digest of it are left out and counted.
        seeds: to average over; the suite's own where None.
        published: put the published rows that measure the same below it.
        results, manifests: folders, see `croftbench.api`.

    Raises:
        DataError: no run to show, or runs that must not share a table.
    """
    from dataclasses import replace

    from croftbench.report import agreement, tables
    from croftbench.report import published as rows

    folders = Folders.of(results, manifests=manifests)
    board = tables.leaderboard(folders.results, suite_of(suite, folders), None if seeds is None else tuple(seeds))
    if published:
        board = replace(board, reported=agreement.matching(rows.read_all(folders.results), board))
    return Leaderboard(board)


def stale_tables(suite: SuiteLike, *, results: Folder = None, manifests: Folder = None) -> list[Path]:
    """The suite's committed tables that differ from what its runs derive.

    Raises:
        DataError: see `leaderboard`.
    """
    from croftbench.report import committed, tables

    folders = Folders.of(results, manifests=manifests)
    return committed.stale_leaderboards(tables.leaderboard(folders.results, suite_of(suite, folders)))


def compare(
    a: str,
    b: str,
    suites: SuiteLike | Sequence[SuiteLike] = (),
    *,
    scorer: str | None = None,
    results: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
) -> Comparison:
    """Two methods on the same images: paired tests of accuracy and detection, corrected for their number.

    Args:
        a, b: a method, 'method name=value', or the identifier of one of its runs.
        suites: all with runs where empty.
        scorer: of the detection tests; each suite's headline where None.
        results, data_root, manifests: folders, see `croftbench.api`.

    Raises:
        UsageError: a name that fits nothing or several configurations; no suite that has both.
        DataError: a per-image table is missing, damaged, or of other images.
    """
    from croftbench.report import compare as comparing

    folders = Folders.of(results, data_root=data_root, manifests=manifests)
    return comparing.compare(folders.results, suites_of(suites, folders), a, b, scorer, folders.roots)


def plot(
    kind: str,
    suite: SuiteLike = "emoji-open",
    methods: Sequence[str] = (),
    *,
    output: str | Path | None = None,
    results: Folder = None,
    manifests: Folder = None,
) -> Picture:
    """A picture of a suite's runs: "energy", "roc", "pareto", "shots" or "calibration".

    Args:
        methods: by registered name or as the table shows them; all with runs where empty.
        output: a file to write it to, ending in .png or .svg.

    Raises:
        UsageError: a kind or a method that is not there, another ending.
        DataError: no runs, or none with what the picture needs.
    """
    from croftbench.report import board_rows, plots, style, tables

    folders = Folders.of(results, manifests=manifests)
    path = None if output is None else Path(output)
    if path is not None and path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"a picture cannot be written as '{path.name}'.", "End its name in .png or .svg.")
    board = tables.leaderboard(folders.results, suite_of(suite, folders))
    picture = plots.draw(kind, board, board_rows.choose(board_rows.collect(board), methods))
    if path is not None:
        style.save(picture, path)
    return picture


def write_page(
    suites: SuiteLike | Sequence[SuiteLike] = (),
    folder: str | Path = "site",
    *,
    results: Folder = None,
    manifests: Folder = None,
) -> Path:
    """Write one self-contained HTML page of the suites (all with runs where empty); its path.

    Raises:
        UsageError: there are no runs.
        DataError: see `leaderboard`; or the folder cannot be written to.
    """
    from croftbench.report import page

    folders = Folders.of(results, manifests=manifests)
    return page.write(folders.results, suites_of(suites, folders), Path(folder))


def export_runs(
    file: str | Path, *, suites: Sequence[str] = (), methods: Sequence[str] = (), results: Folder = None
) -> list[RunSpec]:
    """Write runs, with what they said of every image, to one zip file that others can check and merge.

    Args:
        suites, methods: only runs of these; all where empty.

    Raises:
        UsageError: there are no runs, or none of a suite or method that is named.
    """
    from croftbench.runs import bundle

    folder = Folders.of(results).results
    runs = list(run_files.read_all(folder))
    if not runs:
        raise no_runs(folder)
    suites = [Path(name).stem if name.endswith(".toml") else name for name in suites]
    for kind, asked, there in (
        ("suite", suites, {run.spec.suite for run in runs}),
        ("method", methods, {run.spec.method for run in runs}),
    ):
        for name in asked:
            if name not in there:
                raise unknown(f"{kind} with runs here", name, there)
    runs = [run for run in runs if not suites or run.spec.suite in suites]
    return bundle.export(folder, [run for run in runs if not methods or run.spec.method in methods], Path(file))


def import_runs(file: str | Path, *, results: Folder = None) -> Imported:
    """Check a bundle's runs, compute their numbers again, and add them, marked as imported; all or none.

    Raises:
        DataError: the file is damaged, or a number is not the one that its per-image table gives.
    """
    from croftbench.runs import bundle

    return bundle.import_runs(Folders.of(results).results, Path(file))


# ------------------------------------------------------------------------------------------- suites


def suite_of(suite: SuiteLike, folders: Folders) -> Suite:
    """The suite that is meant.

    Raises:
        UsageError: there is none. ManifestError: its file breaks rules.
    """
    if isinstance(suite, Suite):
        return suite
    name, where = str(suite), folders.manifests
    return manifest.suite(name, shelves.behind(Path(name), where) if name.endswith(".toml") else where)


def keep(suite: Suite, folders: Folders) -> None:
    """Copy a suite's own file beside its runs, so that every command that reads them knows it by name.

    Raises:
        DataError: the results folder cannot be written to.
    """
    home, copy = Path(suite.home), folders.results / "suites" / f"{suite.name}.toml"
    if suite.home and shelves.manifest_path("suites", suite.name, folders.manifests) in (home, copy) and home != copy:
        write_atomically(copy, home.read_bytes(), "--results")


def strangers(folders: Folders) -> list[str]:
    """Names of suites with runs here whose manifest is not."""
    runs = {path.name for path in (folders.results / "runs").glob("*") if path.is_dir()}
    return sorted(runs.difference(manifest.names("suites", folders.manifests)))


def suites_of(suites: SuiteLike | Sequence[SuiteLike], folders: Folders) -> list[Suite]:
    """The suites that are meant, each once; where none is named, all with runs.

    Raises:
        UsageError: none is named and there are no runs.
    """
    named = [suites] if isinstance(suites, str | Path | Suite) else list(suites)
    if not named:
        runs = folders.results / "runs"
        named = [name for name in manifest.names("suites", folders.manifests) if (runs / name).is_dir()]
    if not named:
        lost = strangers(folders)
        raise without_manifest(lost) if lost else no_runs(folders.results)
    return list({suite.name: suite for suite in (suite_of(one, folders) for one in named)}.values())


def without_manifest(names: Sequence[str]) -> UsageError:
    """There are runs of suites that nobody can look up, and what to do."""
    return UsageError(f"no manifest describes {', '.join(names)}.", "Say where it is: --manifests FOLDER or FILE.toml.")


def no_runs(results: Path) -> UsageError:
    """There is nothing to read, and what to do."""
    return UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
