"""Questions that many runs answer: which hyper-parameters? Does CRoFT's claim hold? Is a published row found again?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croftbench import plugins
from croftbench.api import running
from croftbench.api.reading import SuiteLike, suite_of
from croftbench.api.running import identity_of, shown
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import DataError
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
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Tuned:
    """Search a grid on training and validation images alone; record the grid, the choice and its cost.

    Raises:
        UsageError: a name or a value that does not exist.
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
        bench = running.workbench(chosen, encoder, folders, device, sink, preprocess=str(preprocess))
        cells = tuple(tuning.search(bench, info, values, drawn, recipe))
        record = tuning.record(bench, info, cells, drawn, recipe)
    path = folders.results / "tuning" / chosen.name / f"{info.name}.json"
    write_atomically(path, sealed(json.dumps(record, indent=1)), "--results")
    return Tuned(cells, max(cells, key=lambda cell: cell.objective), path)


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
    """
    from croftbench.report import diagnosis, style
    from croftbench.studies import diagnose as diagnosing
    from croftbench.studies import tuning

    start = time.perf_counter()
    folders = Folders.of(results, cache, data_root, manifests)
    chosen, info = suite_of(suite, folders), plugins.describe(method, folders.cache)
    if recipe is not None:
        info.named_recipe(recipe)
    fixed = planning.overrides(running.as_settings(settings), [info])[info.name]
    cells = tuning.cells(tuning.parse_grid(_as_text(sweep), info)) if sweep else [{}]
    with shown(progress) as sink:
        identity_of(encoder, folders.cache, sink, str(preprocess))
        bench = running.workbench(chosen, encoder, folders, device, sink, preprocess=str(preprocess))
        plans = {
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
        findings = list(diagnosing.findings(bench, plans))
        record = diagnosing.record(bench, info, plans, findings, time.perf_counter() - start)
    folder, page, picture = (
        folders.results / "diagnosis" / chosen.name,
        diagnosis.to_markdown(record),
        diagnosis.draw(record),
    )
    write_atomically(folder / f"{info.name}.json", sealed(json.dumps(record, indent=1)), "--results")
    write_atomically(folder / f"{info.name}.md", page, "--results")
    style.save(picture, folder / f"{info.name}.png")
    return Diagnosis(record, page, picture, folder)


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
