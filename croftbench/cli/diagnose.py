"""`croftbench diagnose`: energy gradients and Hessians of a method, before training, after, and over a sweep."""

from __future__ import annotations

from typing import Annotated, cast

import typer

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
    Settings,
    Timeout,
    seeds_of,
)  # fmt: skip
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import CroftbenchError
from croftbench.progress import Bars

EXAMPLES = """
croftbench diagnose croft --sweep lambda2=0,0.1,1
croftbench diagnose clip-adapter -s emoji-kinds --seeds 1
"""


def diagnose(
    method: Annotated[str, typer.Argument(help="A method's name, or path/to/file.py:Class.")] = "croft",
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", help="name=a,b,c; repeatable.", show_default="the method as the suite runs it"),
    ] = None,
    suite: OneSuite = "emoji-open",
    encoder: Encoder = EMBEDDED,
    preprocess: Preprocess = "",
    seeds: Seeds = "",
    recipe: Recipe = None,
    settings: Settings = None,
    device: Device = "auto",
    timeout: Timeout = None,
    isolate: Isolate = False,
    force: Force = False,
    results: Results = None,
    cache: Cache = None,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Measure CRoFT's claim: do small energy gradients go with alike Hessians, and these with accuracy?"""
    failed = None
    with Bars() as bars:
        try:
            done = studying.diagnose(
                method, sweep or (), suite, encoder=encoder, preprocess=preprocess, seeds=seeds_of(seeds),
                recipe=recipe, settings=settings or (), device=device, timeout=timeout, isolate=isolate, force=force,
                results=results, cache=cache, data_root=data_root, manifests=manifests, progress=bars,
            )  # fmt: skip
        except studying.FailedFitsError as error:
            failed, done = error, cast("studying.Diagnosis", error.done)
    out.print(done.markdown, markup=False)
    note(f"Written: {done.folder / done.record['method']}.json, .md, .png.")
    if failed:
        raise CroftbenchError(f"{len(failed.failures)} fit(s) failed.", "The others are recorded.")
