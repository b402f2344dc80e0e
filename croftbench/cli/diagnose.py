"""`croftbench diagnose`: energy gradients and Hessians of a method, before training, after, and over a sweep."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from croftbench import encoders, plugins
from croftbench.cli.console import CACHE, RESULTS, Bars, Cache, DataRoot, Results, note, out, parse_seeds
from croftbench.data.roots import Roots
from croftbench.files import write_atomically
from croftbench.runs import planning
from croftbench.suites import manifest


def diagnose(
    method: Annotated[str, typer.Argument(help="A method's name, or path/to/file.py:Class.")] = "croft",
    sweep: Annotated[
        list[str] | None, typer.Option(help="name=a,b,c; without one, the method as the suite runs it.")
    ] = None,
    suite: Annotated[str, typer.Option(help="A suite's name, or path/to/suite.toml.")] = "emoji-open",
    encoder: Annotated[str, typer.Option(help="Any open_clip arch/tag, or arch@path/to/weights.")] = encoders.EMBEDDED,
    seeds: Annotated[str, typer.Option(help="Separated by commas; the suite's own by default.")] = "",
    settings: Annotated[list[str] | None, typer.Option("--set", help="hyper-parameter=value, for all.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    data_root: DataRoot = None,
    results: Results = RESULTS,
    cache: Cache = CACHE,
) -> None:
    """Measure CRoFT's claim: do small energy gradients go with alike Hessians, and these with accuracy?"""
    info = plugins.describe(method, cache)
    chosen = manifest.suite(suite)
    fixed = planning.overrides(settings or [], [info])[info.name]

    from croftbench.report import diagnosis, style
    from croftbench.runs import environment, execute
    from croftbench.studies import diagnose as sweeps
    from croftbench.studies import tuning

    start = time.perf_counter()
    cells = tuning.cells(tuning.parse_grid(sweep, info)) if sweep else [{}]
    with Bars() as bars:
        bench = execute.Workbench(chosen, encoder, cache, environment.device(device), bars, Roots(data_root))
        plans = {
            " ".join(f"{name}={value}" for name, value in cell.items()) or info.name: planning.plan(
                chosen, info, bench.identity, seeds=parse_seeds(seeds), overrides={**fixed, **cell}
            )
            for cell in cells
        }
        found = list(sweeps.findings(bench, plans))
        record = sweeps.record(bench, info, plans, found, time.perf_counter() - start)
    folder = results / "diagnosis" / chosen.name
    _write(folder, info.name, record)
    picture = diagnosis.draw(record)
    style.save(picture, folder / f"{info.name}.png")
    out.print(diagnosis.to_markdown(record), markup=False)
    note(f"Written: {folder / info.name}.json, .md, .png.")


def _write(folder: Path, name: str, record: dict[str, object]) -> None:
    from croftbench.report import diagnosis

    write_atomically(folder / f"{name}.json", json.dumps(record, indent=1) + "\n")
    write_atomically(folder / f"{name}.md", diagnosis.to_markdown(record))
