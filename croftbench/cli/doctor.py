"""`croftbench doctor`: what this machine is, and what would stop or slow a run on it."""

from __future__ import annotations

from pathlib import Path

import click

from croftbench.api import doctoring
from croftbench.cli import options
from croftbench.cli.console import note, put, put_json
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError

EXAMPLES = """
croftbench doctor
croftbench doctor --data-root ~/data
croftbench doctor --json > doctor.json
"""


@click.command(epilog=epilog(EXAMPLES))
@options.as_json
@options.results
@options.cache
@options.data_root
@options.manifests
def doctor(
    as_json: bool,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Say what is installed, which devices there are, what the folders allow, and what would be slow.

    The text is made to be pasted into a bug report: your home folder is written as ~. Exit 1 if something would stop a
    run.
    """
    found = doctoring.doctor(results=results, cache=cache, data_root=data_root, manifests=manifests)
    if as_json:
        put_json(found.to_dict())
    else:
        put(found.to_text())
    wrong = found.of("wrong")
    if wrong:
        raise CroftbenchError(f"{len(wrong)} thing(s) would stop a run, first {wrong[0].name}.", wrong[0].remark)
    slow = len(found.of("slow"))
    note(f"Nothing would stop a run; {slow} thing(s) would slow one." if slow else "Nothing would stop or slow a run.")
