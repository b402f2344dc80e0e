"""Is a number found again? A published row within its band, or a run to the last digit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import plugins
from croftbench.api import running
from croftbench.api.plans import identity_of
from croftbench.api.running import shown
from croftbench.api.suite_choice import SuiteLike, suite_of
from croftbench.errors import DataError
from croftbench.locations import Folder, Folders
from croftbench.progress import Progress
from croftbench.runs import results as run_files

if TYPE_CHECKING:
    from croftbench.report.published import PublishedRow
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
