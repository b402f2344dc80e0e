"""`croftbench tune`: choose a method's hyper-parameters for a suite, on training images alone."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click
from rich.table import Table

from croftbench.api import studying
from croftbench.cli import options
from croftbench.cli.console import note, out
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError
from croftbench.progress import Bars

EXAMPLES = """
croftbench tune croft --grid lambda2=0,0.1,0.3 --grid epochs=10
croftbench tune mine.py:Mine -s emoji-kinds --grid alpha=1,3 --seeds 1
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("method", help="A method's name, or path/to/file.py:Class.")
@click.option("--grid", multiple=True, required=True, help="name=a,b,c; repeat for another hyper-parameter.")
@options.one_suite
@options.encoder
@options.preprocess
@options.seeds
@options.recipe
@options.device
@options.timeout
@options.isolate
@options.force
@options.results
@options.cache
@options.data_root
@options.manifests
def tune(
    method: str,
    grid: tuple[str, ...],
    suite: str,
    encoder: str,
    preprocess: str,
    seeds: str,
    recipe: str | None,
    device: str,
    timeout: float | None,
    isolate: bool,
    force: bool,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Search a grid on held-out domains and record the grid, the choice and its cost."""
    failed = None
    with Bars() as bars:
        try:
            done = studying.tune(
                method, grid, suite, encoder=encoder, preprocess=preprocess, seeds=options.seeds_of(seeds),
                recipe=recipe, device=device, timeout=timeout, isolate=isolate, force=force, results=results,
                cache=cache, data_root=data_root, manifests=manifests, progress=bars,
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
