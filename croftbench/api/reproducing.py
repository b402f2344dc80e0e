"""Is a number found again? A published row within its band, or a run to the last digit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import plugins
from croftbench.api import plans, running
from croftbench.api.plans import identity_of
from croftbench.api.reading import load_run
from croftbench.api.running import shown
from croftbench.api.suite_choice import SuiteLike, suite_of
from croftbench.errors import DataError, UsageError
from croftbench.locations import Folder, Folders
from croftbench.progress import Progress
from croftbench.runs import results as run_files

if TYPE_CHECKING:
    from croftbench.plugins import MethodInfo
    from croftbench.report.published import PublishedRow
    from croftbench.runs.results import RunResult
    from croftbench.studies.repeat import Difference
    from croftbench.studies.reproduce import Reproduction


def reproduce(
    row: str,
    *,
    device: str = "auto",
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Reproduction:
    """Find or run what a published row describes, and hold every number against its band.

    Raises:
        UsageError: no such row, or this version lacks its suite.
        DataError: the suite or the weights have changed since, or a run that it needs failed.
    """
    from croftbench.report import published
    from croftbench.studies import reproduce as reproducing

    folders = Folders.of(results, cache, data_root, manifests)
    asked = reproducing.target(published.row_named(published_rows(results=results), row), folders.manifests)
    plugins.describe(asked.row.head.method, folders.cache)

    def there() -> list[Any]:
        return reproducing.matching(asked, results_of(asked.suite.name, folders), folders.cache)

    runs = there()
    if len(runs) < asked.expected:
        head = asked.row.head
        with shown(progress) as sink:
            reproducing.check_weights(asked.row, identity_of(head.encoder, folders.cache, sink))
            running.run(
                head.method, asked.suite, encoder=head.encoder, seeds=asked.seeds, shots=asked.shots, device=device,
                results=results, cache=cache, data_root=data_root, manifests=manifests, progress=sink,
            )  # fmt: skip
        runs = there()
    return reproducing.judge(asked, runs, folders.results)


def published_rows(*, results: Folder = None) -> list[PublishedRow]:
    """Every published row.

    Raises:
        DataError: there are none in the results folder, or a line breaks a rule.
    """
    from croftbench.report import published

    folder = Folders.of(results).results
    rows = published.read_all(folder)
    if not rows:
        raise DataError(f"there are no published rows in {folder / 'reported'}.", "Point --results at a checkout's.")
    return rows


def record_rows(
    suite: SuiteLike, *, results: Folder = None, cache: Folder = None, manifests: Folder = None
) -> tuple[Path, list[PublishedRow]]:
    """Publish the suite's complete rows as rows of our own; the file and the rows.

    Raises:
        DataError: there is none.
    """
    from croftbench.studies import reproduce as reproducing

    folders = Folders.of(results, cache, manifests=manifests)
    chosen = suite_of(suite, folders)
    return reproducing.record(chosen, results_of(chosen.name, folders), folders.results, folders.cache)


def results_of(suite: str, folders: Folders) -> list[run_files.RunResult]:
    """The finished runs of a suite."""
    return list(run_files.read_all(folders.results, suite))


@dataclass(frozen=True)
class Repeated:
    """A run that was made once more.

    Attributes:
        run, again: as it is on disk, and as it is now; nothing is written.
        numbers: how many were compared.
        differences: those that differ.
    """

    run: RunResult
    again: RunResult
    numbers: int
    differences: tuple[Difference, ...]


def command_of(run: RunResult, *, results: Folder = None, cache: Folder = None, manifests: Folder = None) -> str:
    """The `croftbench run` that makes a run, with the hyper-parameters that its suite does not set.

    Raises:
        UsageError: nobody describes its suite.
    """
    from croftbench.studies import repeat

    folders = Folders.of(results, cache, manifests=manifests)
    return repeat.command(run, suite_of(run.spec.suite, folders), method_of(run, folders))


def reproduce_run(
    run_id: str,
    *,
    within: float = 0.0,
    device: str = "auto",
    preprocess: str | Path = "",
    allow_incomplete: bool = False,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Repeated:
    """Make a run once more and compare it number by number: values, ends of intervals, numbers of images.

    Args:
        run_id: its first digits.
        within: percentage points that a number may be off; on other machines the last digits differ.
        device, preprocess, allow_incomplete, results, cache, data_root, manifests, progress: as in `run`.

    Raises:
        UsageError: there is no such run, or its method's file is not known.
        DataError: something that decides its numbers is not as it was; the message says what.
    """
    from croftbench.studies import repeat

    folders = Folders.of(results, cache, data_root, manifests)
    run = load_run(run_id, results=results)
    spec, suite = run.spec, suite_of(run.spec.suite, folders)
    info = method_of(run, folders)
    if info is None:
        raise UsageError(
            f"run {spec.run_id} is of {spec.method}, whose file is not at {repeat.target(run)}.",
            "Go to the folder where it was run, or restore the file.",
        )
    folders = folders.behind(suite)
    with shown(progress) as sink:
        planned = plans.plan(
            repeat.target(run), suite, folders, sink, spec.encoder, str(preprocess), [spec.seed], spec.shots,
            spec.views, repeat.recipe(spec, suite), repeat.settings(spec, suite, info),
        )  # fmt: skip
        job = repeat.the_same(run, planned.jobs)
        bench = running.workbench(suite, spec.encoder, folders, device, sink, allow_incomplete, str(preprocess))
        again, _ = bench.run_on(bench.fold_of(job.spec, job.info), job.spec, job.info)
    found = repeat.differences(run.scores, again.scores, within / 100)
    return Repeated(run, again, 5 * len(run.scores), tuple(found))


def method_of(run: RunResult, folders: Folders) -> MethodInfo | None:
    """What is known of a run's method; None where it is not at hand."""
    from croftbench.studies import repeat

    try:
        return plugins.describe(repeat.target(run), folders.cache)
    except UsageError:
        return None
