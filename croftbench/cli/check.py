"""`croftbench check`: every manifest against its rules, or methods against the contract."""

from __future__ import annotations

from typing import Annotated

import typer

from croftbench.api import checking
from croftbench.cli.console import note, out
from croftbench.cli.options import Cache, DataRoot, Device, Manifests, Timeout, names_of
from croftbench.errors import CroftbenchError
from croftbench.progress import complain

EXAMPLES = """
croftbench check
croftbench check --manifests my-manifests
croftbench check ./mine.py:Mine
"""


def check(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, as in path/to/file.py:Class.", show_default="no method, but every manifest"),
    ] = None,
    device: Device = "auto",
    timeout: Timeout = None,
    cache: Cache = None,
    data_root: DataRoot = None,
    manifests: Manifests = None,
) -> None:
    """Check methods against the contract; without any, every manifest against its rules, for which no data are needed.

    Suites on images that ship are drawn, too. A method meets a few of these images: does it fit, keep shapes and seeds,
    leave alone what is not its own, and what does it cost?
    """
    if methods:
        _methods(names_of(methods), device, timeout, cache)
        return
    faults = 0
    for one in checking.check(manifests=manifests, data_root=data_root, cache=cache):
        if one.error is None:
            out.print(f"ok  {one.kind} {one.name}{' ' if one.about.startswith('v') else ': '}{one.about}", markup=False)
        else:
            complain(one.error.message, one.error.hint)
            faults += 1
    if faults:
        raise CroftbenchError(f"{faults} manifest(s) break a rule.", "")


def _methods(names: list[str], device: str, timeout: Timeout, cache: Cache) -> None:
    broken = 0
    for name in names:
        checked = checking.check_method(name, device=device, timeout=timeout, cache=cache)
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
