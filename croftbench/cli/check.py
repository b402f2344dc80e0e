"""`croftbench check`: every manifest against its rules, and shipped images against their manifests."""

from __future__ import annotations

from croftbench.api import checking
from croftbench.cli.console import out
from croftbench.cli.options import Cache, DataRoot, Manifests
from croftbench.errors import CroftbenchError
from croftbench.progress import complain

EXAMPLES = """
croftbench check
croftbench check --manifests my-manifests
"""


def check(cache: Cache = None, data_root: DataRoot = None, manifests: Manifests = None) -> None:
    """Check every manifest; no data are needed. Suites on images that ship are drawn, too."""
    faults = 0
    for one in checking.check(manifests=manifests, data_root=data_root, cache=cache):
        if one.error is None:
            out.print(f"ok  {one.kind} {one.name}{' ' if one.about.startswith('v') else ': '}{one.about}", markup=False)
        else:
            complain(one.error.message, one.error.hint)
            faults += 1
    if faults:
        raise CroftbenchError(f"{faults} manifest(s) break a rule.", "")
