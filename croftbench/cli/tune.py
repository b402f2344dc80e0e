"""`croftbench tune`: choose a method's hyper-parameters for a suite, on training images alone."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.table import Table

from croftbench.api import studying
from croftbench.cli.console import note, out
from croftbench.cli.options import (
    Cache,
    DataRoot,
    Device,
    Encoder,
    Force,
    Isolate,
    Manifests,
    OneSuite,
    Preprocess,
    Recipe,
    Results,
    Seeds,
    Timeout,
    seeds_of,
)  # fmt: skip
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError
from croftbench.progress import Bars

EXAMPLES = """
croftbench tune croft --grid lambda2=0,0.1,0.3 --grid epochs=10
croftbench tune mine.py:Mine -s emoji-kinds --grid alpha=1,3 --seeds 1
"""


def tune(
    method: Annotated[str, typer.Argument(help="A method's name, or path/to/file.py:Class.")],
    grid: Annotated[list[str], typer.Option("--grid", help="name=a,b,c; repeat for another hyper-parameter.")],
    suite: OneSuite = "emoji-open",
    encoder: Encoder = EMBEDDED,
    preprocess: Preprocess = "",
    seeds: Seeds = "",
    recipe: Recipe = None,
    device: Device = "auto",
    timeout: Timeout = None,
    isolate: Isolate = False,
    force: Force = False,
    results: Results = None,
    cache: Cache = None,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Search a grid on held-out domains and record the grid, the choice and its cost."""
    failed = None
    with Bars() as bars:
        try:
            done = studying.tune(
                method, grid, suite, encoder=encoder, preprocess=preprocess, seeds=seeds_of(seeds), recipe=recipe,
                device=device, timeout=timeout, isolate=isolate, force=force, results=results, cache=cache,
                data_root=data_root, manifests=manifests, progress=bars,
            )  # fmt: skip
        except studying.FailedFitsError as error:
            failed, done = error, cast("studying.Tuned", error.done)
    table = Table(*done.best.params, "accuracy", "AUROC", "objective", "s", box=None)
    for cell in done.cells:
        numbers = (f"{100 * v:.2f}" for v in (cell.accuracy, cell.auroc, cell.objective))
        style = "bold" if cell is done.best else ""
        table.add_row(*map(str, cell.params.values()), *numbers, f"{cell.seconds:.1f}", style=style)
    out.print(table)
    setting = " ".join(f"{name}={value}" for name, value in done.best.params.items())
    note(f"Chosen: {setting}, see {done.path}. To use it, --set it, or put it into [recipes] of the suite.")
    if failed:
        raise CroftbenchError(f"{len(failed.failures)} fit(s) failed.", "The others are recorded.")
