"""`croftbench tune`: choose a method's hyper-parameters for a suite, on training images alone."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from croftbench import encoders, plugins
from croftbench.cli.console import CACHE, RESULTS, Bars, Cache, DataRoot, Results, note, out, parse_seeds
from croftbench.data.roots import Roots
from croftbench.files import write_atomically
from croftbench.suites import manifest


def tune(
    method: Annotated[str, typer.Argument(help="A method's name, or path/to/file.py:Class.")],
    grid: Annotated[list[str], typer.Option(help="name=a,b,c; give it again for another hyper-parameter.")],
    suite: Annotated[str, typer.Option(help="A suite's name.")] = "emoji-open",
    encoder: Annotated[str, typer.Option(help="Any open_clip arch/tag, or arch@path/to/weights.")] = encoders.EMBEDDED,
    seeds: Annotated[str, typer.Option(help="Separated by commas; the suite's own by default.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    data_root: DataRoot = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
) -> None:
    """Search a grid on held-out domains and record the grid, the choice and its cost."""
    info = plugins.describe(method, cache)
    chosen = manifest.suite(suite)

    from croftbench.runs import environment, execute
    from croftbench.studies import tuning

    names = tuning.parse_grid(grid, info)
    drawn = parse_seeds(seeds) or list(chosen.protocol.seeds)
    with Bars() as bars:
        bench = execute.Workbench(chosen, encoder, cache, environment.device(device), bars, Roots(data_root))
        found = list(tuning.search(bench, info, names, drawn))
        record = tuning.record(bench, info, found, drawn)
    path = results / "tuning" / chosen.name / f"{info.name}.json"
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    best = max(found, key=lambda cell: cell.objective)
    table = Table(*names, "accuracy", "AUROC", "objective", "s", box=None)
    for cell in found:
        numbers = (f"{100 * v:.2f}" for v in (cell.accuracy, cell.auroc, cell.objective))
        table.add_row(
            *map(str, cell.params.values()), *numbers, f"{cell.seconds:.1f}", style="bold" if cell is best else ""
        )
    out.print(table)
    setting = " ".join(f"{name}={value}" for name, value in best.params.items())
    note(f"Chosen: {setting}, see {path}. To use it, --set it, or put it under [recipes.{info.name}] of the suite.")
