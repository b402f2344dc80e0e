"""Runs for others: bundles that are checked and merged, and the records that other tools and the hub read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from croftbench.api.suite_choice import no_runs, suite_of
from croftbench.errors import UsageError, unknown
from croftbench.locations import Folder, Folders
from croftbench.runs import results as run_files

if TYPE_CHECKING:
    from croftbench.runs.bundle import Imported
    from croftbench.runs.results import RunResult
    from croftbench.runs.spec import RunSpec

Form = Literal["bundle", "every-eval-ever", "hub"]


def export_runs(
    file: str | Path,
    *,
    form: Form = "bundle",
    dataset: str = "",
    suites: Sequence[str] = (),
    methods: Sequence[str] = (),
    results: Folder = None,
    cache: Folder = None,
    manifests: Folder = None,
) -> list[RunSpec]:
    """Write runs for others, with what they said of every image.

    Args:
        file: the zip file of a bundle; the folder of the other forms.
        form: "bundle", which `import_runs` checks and merges; "every-eval-ever", the schema of that name with a record
            for every image; "hub", `.eval_results/*.yaml` of a model repository, one a row of a leaderboard.
        dataset: for "hub", the data set there that holds the suite, "owner/name".
        suites, methods: only runs of these, methods by any name that a table prints; all where empty.

    Raises:
        UsageError: there are no runs, or none of a suite or method that is named; a form that is none.
        DataError: a run is damaged or lacks its per-image table; the file cannot be written.
    """
    if form not in get_args(Form):
        raise unknown("form of sharing", form, get_args(Form))
    if (form == "hub") != bool(dataset):
        raise UsageError("--dataset belongs to --format hub, which needs it.", "--format hub --dataset OWNER/NAME")
    folders = Folders.of(results, cache, manifests=manifests)
    runs = _chosen(folders, suites, methods)
    out = Path(file)
    if form == "bundle":
        from croftbench.runs import bundle

        return bundle.export(folders.results, runs, out)
    of_suites = {name: suite_of(name, folders) for name in dict.fromkeys(run.spec.suite for run in runs)}
    if form == "every-eval-ever":
        from croftbench.report.formats import every_eval_ever

        headlines = {name: suite.protocol.headline for name, suite in of_suites.items()}
        every_eval_ever.write(folders.results, runs, headlines, out)
        return [run.spec for run in runs]
    from croftbench.report import rows, subset, tables
    from croftbench.report.formats import eval_results

    wanted = {run.spec.run_id for run in runs}
    for suite in of_suites.values():
        board = tables.board(rows.read(folders.results, suite, folders.cache))
        kept = [row for row in board.rows if wanted & {run.spec.run_id for run in row.runs}]
        eval_results.write(subset.only(board, kept), dataset, out)
    return [run.spec for run in runs]


def _chosen(folders: Folders, suites: Sequence[str], methods: Sequence[str]) -> list[RunResult]:
    """The runs that are meant."""
    folder = folders.results
    runs = list(run_files.read_all(folder))
    if not runs:
        raise no_runs(folder)
    suites = [Path(name).stem if name.endswith(".toml") else name for name in suites]
    there = {run.spec.suite for run in runs}
    for name in suites:
        if name not in there:
            raise unknown("suite with runs here", name, there)
    runs = [run for run in runs if not suites or run.spec.suite in suites]
    if methods:
        from croftbench.report import lookup

        runs = lookup.named(runs, methods, folders.manifests, folders.cache)
    return runs


def import_runs(file: str | Path, *, results: Folder = None) -> Imported:
    """Check a bundle's runs, compute their numbers again, and add them, marked as imported; all or none.

    Raises:
        DataError: the file is damaged, or a number is not the one that its per-image table gives.
    """
    from croftbench.runs import bundle

    return bundle.import_runs(Folders.of(results).results, Path(file))
