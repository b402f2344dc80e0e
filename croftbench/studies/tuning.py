"""Choosing hyper-parameters on training and validation images alone: each training domain held out once, a quarter of
the classes treated as unknown (draw.tuning_folds).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from croftbench import draw
from croftbench.draw.gather import own_pool
from croftbench.errors import CroftbenchError, UsageError
from croftbench.plugins import MethodInfo
from croftbench.plugins.parameters import Value
from croftbench.runs import alone, planning
from croftbench.runs.planning import Job
from croftbench.runs.spec import RunSpec

if TYPE_CHECKING:
    from croftbench.runs.execute import Workbench

Failed = Callable[[Mapping[str, Value], CroftbenchError], None]
"""Is told of a cell that failed, and why."""


@dataclass(frozen=True)
class Cell:
    """One point of the grid.

    Attributes:
        params: the hyper-parameters that the grid sets.
        accuracy: on the held-out domains, mean over tuning folds and seeds.
        auroc: known against unknown classes there, headline scorer.
        runs, seconds: what the cell cost.
    """

    params: Mapping[str, Value]
    accuracy: float
    auroc: float
    runs: int
    seconds: float

    @property
    def objective(self) -> float:
        """What is maximised: both of a suite's questions weigh the same."""
        return (self.accuracy + self.auroc) / 2


def parse_grid(settings: Sequence[str], info: MethodInfo) -> dict[str, list[Value]]:
    """Arguments of the form "name=a,b,c" -> typed values by hyper-parameter.

    Raises:
        UsageError: not of that form, an unknown name or one that is given twice, or a value of the wrong type.
    """
    grid: dict[str, list[Value]] = {}
    for setting in settings:
        name, equals, values = setting.partition("=")
        if not equals or not values:
            raise UsageError(f"--grid {setting} is not of the form name=a,b,c.", "Example: --grid lambda2=0,0.01,0.1")
        if name in grid:
            raise UsageError(f"--grid {name} is given twice.", "Give all its values at once: name=a,b,c.")
        grid[name] = [info.value(name, value) for value in values.split(",")]
    if not grid:
        raise UsageError("no grid was given.", "Example: --grid lambda2=0,0.01,0.1")
    return grid


def cells(grid: Mapping[str, Sequence[Value]]) -> list[dict[str, Value]]:
    """Every combination of the grid's values, the last hyper-parameter fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def search(
    bench: Workbench, info: MethodInfo, grid: Mapping[str, Sequence[Value]], seeds: Sequence[int],
    recipe: str | None = None, failed: Failed | None = None,
) -> Iterator[Cell]:  # fmt: skip
    """Every cell of the grid, in order; the rest is of the named recipe, the suite's own where None.

    A cell with a run that fails is handed to `failed`, and the others go on.

    Raises:
        CroftbenchError: a run failed, and there is no `failed`.
    """
    for params in cells(grid):
        try:
            yield _cell(bench, info, params, seeds, recipe)
        except CroftbenchError as error:
            if failed is None:
                raise
            failed(params, error)


def jobs(
    bench: Workbench, info: MethodInfo, params: Mapping[str, Value], seeds: Sequence[int], recipe: str | None
) -> list[Job]:
    """The runs behind a cell."""
    return planning.plan(
        bench.suite, info, bench.identity, bench.draws.content, seeds=seeds, recipe=recipe, overrides=params
    )


def _cell(
    bench: Workbench, info: MethodInfo, params: Mapping[str, Value], seeds: Sequence[int], recipe: str | None
) -> Cell:
    start, isolate = time.perf_counter(), bench.limits.isolate
    accuracies: list[float] = []
    aurocs: list[float] = []
    for job in jobs(bench, info, params, seeds, recipe):
        found = (
            alone.call(held_out_scores, bench, job.spec, info) if isolate else held_out_scores(bench, job.spec, info)
        )
        accuracies += found[0]
        aurocs += found[1]
    seconds = round(time.perf_counter() - start, 2)
    return Cell(params, fmean(accuracies), fmean(aurocs), len(accuracies), seconds)


def held_out_scores(bench: Workbench, spec: RunSpec, info: MethodInfo) -> tuple[list[float], list[float]]:
    """Accuracy and AUROC of a run on each of its tuning folds."""
    fold = bench.fold(spec)
    fold = replace(fold, train=own_pool(fold.train))  # whole training sets need not be encoded
    accuracies, aurocs = [], []
    own_val = next(one.val for one in bench.suite.folds if one.name == spec.fold)
    for held_out in draw.tuning_folds(fold, spec.seed, val_by_domain=not own_val):
        scores = bench.run_on(held_out, spec, info, within=fold.train)[0].scores
        accuracies += [s.value for s in scores if s.metric == "accuracy" and s.shift == "id"]
        headline = bench.suite.protocol.headline, held_out.id.name
        aurocs += [s.value for s in scores if s.metric == "auroc" and (s.scorer, s.reference) == headline]
    return accuracies, aurocs


def cells_of(record: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells of a record."""
    return tuple(Cell(**{name: value for name, value in one.items() if name != "objective"}) for one in record["grid"])


def record(
    bench: Workbench, info: MethodInfo, cells: Sequence[Cell], seeds: Sequence[int], recipe: str | None = None,
    failures: Sequence[tuple[Mapping[str, Value], CroftbenchError]] = (),
) -> dict[str, object]:  # fmt: skip
    """What a search leaves behind: the grid, the choice, and the cost; and which cells failed, where some did."""
    best = max(cells, key=lambda cell: cell.objective)
    return {
        "suite": bench.suite.name,
        "suite_digest": bench.suite.digest,
        "encoder": bench.identity.id,
        "weights_digest": bench.identity.weights_digest,
        "method": info.name,
        "method_version": info.version,
        "recipe": recipe or bench.suite.recipe,
        "seeds": list(seeds),
        "objective": "mean of accuracy and AUROC on validation images of held-out domains, or else on their training "
        "images; 1/4 of the classes unknown",
        "choice": dict(best.params),
        "grid": [asdict(cell) | {"objective": cell.objective} for cell in cells],
        "runs": sum(cell.runs for cell in cells),
        "seconds": round(sum(cell.seconds for cell in cells), 1),
        **({"failed": [{"params": dict(params), "why": e.message} for params, e in failures]} if failures else {}),
    }
