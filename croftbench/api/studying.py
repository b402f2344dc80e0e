"""Questions that many runs answer: which hyper-parameters? Does CRoFT's claim hold?"""

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
from croftbench.errors import CroftbenchError, UsageError
from croftbench.files import check_seal, digest, sealed, write_atomically
from croftbench.locations import Folder, Folders
from croftbench.plugins.parameters import Value
from croftbench.progress import Progress
from croftbench.runs import planning, trash
from croftbench.runs.planning import Job

if TYPE_CHECKING:
    from croftbench.api.running import MethodLike
    from croftbench.report.style import Picture
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
    isolate: bool = False,
    force: bool = False,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Tuned:
    """Search a grid on training and validation images alone; record the grid, the choice and its cost.

    A search that is recorded is found and not repeated, but for `force`; the record of another one goes to the trash.
    What is not named below is as in `run`.

    Args:
        grid: values to search.

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
        bench = running.workbench(
            chosen, encoder, folders, device, sink, preprocess=str(preprocess), timeout=timeout, isolate=isolate
        )
        jobs = [job for cell in tuning.cells(values) for job in tuning.jobs(bench, info, cell, drawn, recipe)]
        path, asked = folders.results / "tuning" / chosen.name / f"{info.name}.json", _identity(jobs)
        if (there := _recorded(path, asked, force, sink)) is not None:
            cells = tuning.cells_of(there)
            return Tuned(cells, max(cells, key=lambda cell: cell.objective), path)
        failures, failed = _collecting(sink)
        cells = tuple(tuning.search(bench, info, values, drawn, recipe, failed))
        if not cells:
            raise failures[0][1]
        record = {"asked": asked} | tuning.record(bench, info, cells, drawn, recipe, failures)
    _spare(folders.results, [path], asked)
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
    isolate: bool = False,
    force: bool = False,
    results: Folder = None,
    cache: Folder = None,
    data_root: Folder = None,
    manifests: Folder = None,
    progress: bool | Progress | None = None,
) -> Diagnosis:
    """Measure CRoFT's claim: do small energy gradients go with alike Hessians, and these with accuracy?

    A diagnosis that is recorded is found and not repeated, but for `force`; the record of another goes to the trash.

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
    if not info.train:
        raise UsageError(f"{info.name} learns nothing that could be diagnosed.", "Name a method that trains: croft.")
    if recipe is not None:
        info.named_recipe(recipe)
    fixed = planning.overrides(plans.as_settings(settings), [info])[info.name]
    cells = tuning.cells(tuning.parse_grid(_as_text(sweep), info)) if sweep else [{}]
    with shown(progress) as sink:
        identity_of(encoder, folders.cache, sink, str(preprocess))
        bench = running.workbench(
            chosen, encoder, folders, device, sink, preprocess=str(preprocess), timeout=timeout, isolate=isolate
        )
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
        folder = folders.results / "diagnosis" / chosen.name
        files = [folder / f"{info.name}.{ending}" for ending in ("json", "md", "png")]
        asked = _identity([job for jobs in sweeps.values() for job in jobs])
        if (there := _recorded(files[0], asked, force, sink)) is not None:
            return Diagnosis(there, diagnosis.to_markdown(there), diagnosis.draw(there), folder)
        failures, failed = _collecting(sink)
        findings = list(diagnosing.findings(bench, sweeps, failed))
        if len(failures) == sum(map(len, sweeps.values())):
            raise failures[0][1]
        record = {"asked": asked} | diagnosing.record(
            bench, info, sweeps, findings, time.perf_counter() - start, failures
        )
    page, picture = diagnosis.to_markdown(record), diagnosis.draw(record)
    _spare(folders.results, files, asked)
    write_atomically(files[0], sealed(json.dumps(record, indent=1)), "--results")
    write_atomically(files[1], page, "--results")
    style.save(picture, files[2])
    done = Diagnosis(record, page, picture, folder)
    if failures:
        raise FailedFitsError(failures, done)
    return done


def _identity(jobs: Sequence[Job]) -> str:
    """What is asked of a study: digits that change with everything that decides its runs."""
    return digest([[job.spec.run_id, job.info.code] for job in jobs])[:12]


def _recorded(path: Path, asked: str, force: bool, progress: Progress) -> dict[str, Any] | None:
    """The whole record of what is asked, where it is there."""
    try:
        content = path.read_bytes()
        check_seal(content)
    except (OSError, ValueError):
        return None
    there: dict[str, Any] = json.loads(content)
    if force or there.get("asked") != asked or there.get("failed"):
        return None
    progress.note(f"It is finished already, in {path}; --force repeats it.")
    return there


def _spare(results: Path, files: Sequence[Path], asked: str) -> None:
    """Move the record of something else, which would be replaced, into the trash."""
    there = [path for path in files if path.is_file()]
    if there and json.loads(there[0].read_bytes() if there[0].suffix == ".json" else b"{}").get("asked") != asked:
        trash.move(results, there)


def _as_text(grid: Grid) -> list[str]:
    if isinstance(grid, Mapping):
        return [f"{name}={','.join(map(str, values))}" for name, values in grid.items()]
    return list(grid)
