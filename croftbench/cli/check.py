"""`croftbench check`: manifests against their rules, or the results folder against itself."""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperCommand

from croftbench.api import checking
from croftbench.cli.console import out
from croftbench.cli.options import Cache, DataRoot, Manifests, Results
from croftbench.errors import CroftbenchError
from croftbench.locations import RESULTS
from croftbench.progress import complain

EXAMPLES = """
croftbench check
croftbench check --manifests my-manifests
croftbench check --results
croftbench check --results my-results
"""


class COMMAND(TyperCommand):
    """Takes `--results` alone, too: the folder that other commands read without it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the folder behind a `--results` that has none."""
        given = []
        for i, word in enumerate(args):
            given.append(word)
            if word in ("--results", "-r") and (i + 1 == len(args) or args[i + 1].startswith("-")):
                given.append(os.environ.get(RESULTS) or "results")
        return super().parse_args(ctx, given)


def check(
    context: typer.Context,
    results: Results = None,
    cache: Cache = None,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Check every manifest; no data are needed. Suites on images that ship are drawn, too.

    With --results, check that folder instead: digests, every number against its per-image table, and the tables.
    """
    source = context.get_parameter_source("results")
    asked = results if source is not None and source.name == "COMMANDLINE" else None  # its variable asks for nothing
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
