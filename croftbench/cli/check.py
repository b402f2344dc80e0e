"""`croftbench check`: manifests, methods and scores of one's own, or results against what they promise."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from croftbench.api import checking
from croftbench.cli import options
from croftbench.cli.console import note, out
from croftbench.cli.help import epilog
from croftbench.defaults import RESULTS
from croftbench.errors import CroftbenchError
from croftbench.progress import complain

EXAMPLES = """
croftbench check
croftbench check --manifests my-manifests
croftbench check ./mine.py:Mine
croftbench check ./mine.py:MyScore
croftbench check --results
croftbench check --results my-results
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument(
    "methods", nargs=-1, help="Methods and scores, as in path/to/file.py:Class.  [default: (none, but every manifest)]"
)
@options.device
@options.timeout
@options.results_or_usual
@options.cache
@options.data_root
@options.manifests
@click.pass_context
def check(
    context: click.Context,
    methods: tuple[str, ...],
    device: str,
    timeout: float | None,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Check methods and scores against the contract; without any, every manifest against its rules.

    For manifests no data are needed; suites on images that ship are drawn, too. A method meets a few of these images:
    does it fit, keep shapes and seeds, leave alone what is not its own, and what does it cost? A score: is it higher
    for known images, and does it look at nothing else? With --results, check that folder instead: digests, every
    number against its per-image table, and the tables.
    """
    if methods:
        _methods(options.names_of(methods), device, timeout, cache)
        return
    named = context.get_parameter_source("results") is ParameterSource.COMMANDLINE  # its variable asks for nothing
    asked = (results or os.environ.get(RESULTS) or "results") if named else None
    faults = 0
    for one in checking.check(results=asked, manifests=manifests, data_root=data_root, cache=cache):
        if one.error is None:
            out.print(f"ok  {one.kind} {one.name}{' ' if one.about.startswith('v') else ': '}{one.about}", markup=False)
        else:
            complain(one.error.message, one.error.hint)
            faults += 1
    if faults and asked is not None:
        raise CroftbenchError(f"{faults} file(s) of {asked} are not to be trusted.", "")
    if faults:
        raise CroftbenchError(f"{faults} manifest(s) break a rule.", "")


def _methods(names: list[str], device: str, timeout: float | None, cache: str | None) -> None:
    broken = 0
    for name in names:
        look = checking.check_scorer if checking.is_scorer(name) else checking.check_method
        checked = look(name, device=device, timeout=timeout, cache=cache)
        for promise in checked.promises:
            if promise.broken:
                complain(f"{checked.name}: {promise.name}: {promise.broken}", promise.hint)
            else:
                out.print(f"ok  {checked.name}: {promise.name}", markup=False)
        broken += len(checked.broken)
        if checked.cost:
            its, usual = checked.cost
            note(
                f"{checked.name} fits in {its.fit:.2f} s, predicts in {its.predict:.2f} s and takes {its.memory:.0f} "
                f"MB more memory here; zero-shot fits in {usual.fit:.2f} s and predicts in {usual.predict:.2f} s."
            )
    if broken:
        raise CroftbenchError(f"{broken} promise(s) are broken.", "Change the lines above, then check again.")
