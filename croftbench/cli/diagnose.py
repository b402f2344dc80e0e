"""`croftbench diagnose`: energy gradients and Hessians of a method, before training, after, and over a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from croftbench.api import studying
from croftbench.cli import options
from croftbench.cli.console import note, out
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError
from croftbench.progress import Bars

EXAMPLES = """
croftbench diagnose croft --sweep lambda2=0,0.1,1
croftbench diagnose clip-adapter -s emoji-kinds --seeds 1
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("method", default="croft", help="A method's name, or path/to/file.py:Class.  [default: croft]")
@click.option("--sweep", multiple=True, help="name=a,b,c; repeatable.", show_default="the method as the suite runs it")
@options.one_suite
@options.encoder
@options.preprocess
@options.seeds
@options.recipe
@options.settings
@options.device
@options.timeout
@options.isolate
@options.force
@options.results
@options.cache
@options.data_root
@options.manifests
def diagnose(
    method: str,
    sweep: tuple[str, ...],
    suite: str,
    encoder: str,
    preprocess: str,
    seeds: str,
    recipe: str | None,
    settings: tuple[str, ...],
    device: str,
    timeout: float | None,
    isolate: bool,
    force: bool,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Measure CRoFT's claim: do small energy gradients go with alike Hessians, and these with accuracy?"""
    failed = None
    with Bars() as bars:
        try:
            done = studying.diagnose(
                method, sweep, suite, encoder=encoder, preprocess=preprocess, seeds=options.seeds_of(seeds),
                recipe=recipe, settings=settings, device=device, timeout=timeout, isolate=isolate, force=force,
                results=results, cache=cache, data_root=data_root, manifests=manifests, progress=bars,
            )  # fmt: skip
        except studying.FailedFitsError as error:
            failed, done = error, cast("studying.Diagnosis", error.done)
    out.print(done.markdown, markup=False)
    note(f"Written: {done.folder / done.record['method']}.json, .md, .png.")
    if failed:
        raise CroftbenchError(f"{len(failed.failures)} fit(s) failed.", "The others are recorded.")
