"""Questions that many runs answer: which hyper-parameters? Does CRoFT's claim hold? Is a published row found again?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import plugins
from croftbench.api import plans, running
from croftbench.api.plans import identity_of
from croftbench.api.running import shown
from croftbench.api.suite_choice import SuiteLike, suite_of
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError, DataError
from croftbench.files import sealed, write_atomically
from croftbench.locations import Folder, Folders
from croftbench.plugins.parameters import Value
from croftbench.progress import Progress
from croftbench.runs import planning, results

if TYPE_CHECKING:
    from croftbench.api.running import MethodLike
    from croftbench.report.published import PublishedRow
    from croftbench.report.style import Picture
    from croftbench.studies.reproduce import Reproduction
    from croftbench.studies.tuning import Cell

Grid = Mapping[str, Sequence[Value]] | Sequence[str]
"""Values by hyper-parameter, or as text: ["lambda2=0,0.1", "epochs=10"]."""


class FailedFitsError(CroftbenchError):
    """Some fits of a study failed; the others are done and recorded.

    Attributes:
        failures: each failed setting with its error.
        done: the `Tuned` or `Diagnosis` of the others.
    """

    def __init__(self, failures: Sequence[tuple[Any, CroftbenchError]], done: Tuned | Diagnosis) -> None:
        (setting, error), n = failures[0], len(failures)
        super().__init__(f"{n} fit(s) failed, first {_named(setting)}: {error.message}", "The others are recorded.")
        self.failures, self.done = tuple(failures), done


@dataclass(frozen=True)
class Tuned:
    """A search: its cells, the best of them by `Cell.objective`, and the file that records it."""

    cells: tuple[Cell, ...]
    best: Cell
    path: Path


@dataclass(frozen=True)
class Diagnosis:
    """What was measured (JSON data), the same as a page of tables, the picture, and the folder that holds them."""

    record: Mapping[str, Any]
    markdown: str
    picture: Picture
    folder: Path


def tune(
    method: MethodLike,
    grid: Grid,
    suite: SuiteLike = "emoji-open",
    *,
    encoder: str = EMBEDDED,
    preprocess: str | Path = "",
    seeds: Sequence[int] | None = None,
    recipe: str | None = None,
    device: str = "auto",
    timeout: float | None = None,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Tuned:
    """Search a grid on training and validation images alone; record the grid, the choice and its cost.

    Raises:
        UsageError: a name or a value that does not exist.
        FailedFitsError: at the end, where a cell of the grid failed and others did not; `done` has these.
        CroftbenchError: every cell failed: why the first did.
    """
    from croftbench.studies import tuning

    folders = Folders.of(results, cache, data_root, manifests)
    chosen, info = suite_of(suite, folders), plugins.describe(method, folders.cache)
    values = tuning.parse_grid(_as_text(grid), info)
    if recipe is not None:
        info.named_recipe(recipe)
    drawn = list(seeds or chosen.protocol.seeds)
    with shown(progress) as sink:
        identity_of(encoder, folders.cache, sink, str(preprocess))
        bench = running.workbench(chosen, encoder, folders, device, sink, preprocess=str(preprocess), timeout=timeout)
        failures, failed = _collecting(sink)
        cells = tuple(tuning.search(bench, info, values, drawn, recipe, failed))
        if not cells:
            raise failures[0][1]
        record = tuning.record(bench, info, cells, drawn, recipe, failures)
    path = folders.results / "tuning" / chosen.name / f"{info.name}.json"
    write_atomically(path, sealed(json.dumps(record, indent=1)), "--results")
    done = Tuned(cells, max(cells, key=lambda cell: cell.objective), path)
    if failures:
        raise FailedFitsError(failures, done)
    return done


def _collecting(progress: Progress) -> tuple[list[tuple[Any, CroftbenchError]], Callable[[Any, CroftbenchError], None]]:
    """A list of failed settings, and what adds to it and says so."""
    failures: list[tuple[Any, CroftbenchError]] = []

    def failed(setting: Any, error: CroftbenchError) -> None:
        failures.append((setting, error))
        progress.complain(f"{_named(setting)}: {error.message}", error.hint)

    return failures, failed


def _named(setting: str | Mapping[str, Value]) -> str:
    return setting if isinstance(setting, str) else " ".join(f"{name}={value}" for name, value in setting.items())


def diagnose(
    method: MethodLike = "croft",
    sweep: Grid = (),
    suite: SuiteLike = "emoji-open",
    *,
    encoder: str = EMBEDDED,
    preprocess: str | Path = "",
    seeds: Sequence[int] | None = None,
    recipe: str | None = None,
    settings: Mapping[str, Value] | Sequence[str] = (),
    device: str = "auto",
    timeout: float | None = None,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Diagnosis:
    """Measure CRoFT's claim: do small energy gradients go with alike Hessians, and these with accuracy?

    Args:
        sweep: values to compare; empty for the method as the suite runs it.
        recipe: a named recipe other than the suite's.
        settings: hyper-parameters for all.

    Raises:
        UsageError: a name or a value that does not exist, or a method without class features.
        FailedFitsError: at the end, where some runs failed; `done` has the others.
        CroftbenchError: every run failed: why the first did.
    """
    from croftbench.report import diagnosis, style
    from croftbench.studies import diagnose as diagnosing
    from croftbench.studies import tuning

    start = time.perf_counter()
    folders = Folders.of(results, cache, data_root, manifests)
    chosen, info = suite_of(suite, folders), plugins.describe(method, folders.cache)
    if recipe is not None:
        info.named_recipe(recipe)
    fixed = planning.overrides(plans.as_settings(settings), [info])[info.name]
    cells = tuning.cells(tuning.parse_grid(_as_text(sweep), info)) if sweep else [{}]
    with shown(progress) as sink:
        identity_of(encoder, folders.cache, sink, str(preprocess))
        bench = running.workbench(chosen, encoder, folders, device, sink, preprocess=str(preprocess), timeout=timeout)
        sweeps = {
            " ".join(f"{name}={value}" for name, value in cell.items()) or info.name: planning.plan(
                chosen,
                info,
                bench.identity,
                bench.draws.content,
                seeds=seeds,
                recipe=recipe,
                overrides={**fixed, **cell},
            )
            for cell in cells
        }
        failures, failed = _collecting(sink)
        findings = list(diagnosing.findings(bench, sweeps, failed))
        if len(failures) == sum(map(len, sweeps.values())):
            raise failures[0][1]
        record = diagnosing.record(bench, info, sweeps, findings, time.perf_counter() - start, failures)
    folder, page, picture = (
        folders.results / "diagnosis" / chosen.name,
        diagnosis.to_markdown(record),
        diagnosis.draw(record),
    )
    write_atomically(folder / f"{info.name}.json", sealed(json.dumps(record, indent=1)), "--results")
    write_atomically(folder / f"{info.name}.md", page, "--results")
    style.save(picture, folder / f"{info.name}.png")
    done = Diagnosis(record, page, picture, folder)
    if failures:
        raise FailedFitsError(failures, done)
    return done


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


def results_of(suite: str, folders: Folders) -> list[results.RunResult]:
    """The finished runs of a suite."""
    return list(results.read_all(folders.results, suite))


def _as_text(grid: Grid) -> list[str]:
    if isinstance(grid, Mapping):
        return [f"{name}={','.join(map(str, values))}" for name, values in grid.items()]
    return list(grid)
