"""`croftbench reproduce`: a published row, run here, against its stated band; or a run, number by number."""

from __future__ import annotations

import re
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from croftbench.api import inventory, reproducing
from croftbench.api.reproducing import Repeated
from croftbench.cli import options
from croftbench.cli.console import note, out
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError, UsageError
from croftbench.progress import Bars
from croftbench.studies.reproduce import Reproduction

EXAMPLES = """
croftbench reproduce
croftbench reproduce emoji-open/croft
croftbench reproduce 1f6a
croftbench reproduce --record emoji-open
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("row", required=False, help="A published row, or a run's id; without one, list the rows.")
@click.option("--record", help="A suite: publish its complete rows as rows of our own.")
@click.option("--within", type=options.AMOUNT, default=0.0, help="Of a run: points that a number may be off.")
@options.preprocess
@options.allow_incomplete
@options.device
@options.results
@options.cache
@options.data_root
@options.manifests
def reproduce(
    row: str | None,
    record: str | None,
    within: float,
    preprocess: str,
    allow_incomplete: bool,
    device: str,
    results: str | None,
    cache: str | None,
    data_root: Path | None,
    manifests: Path | None,
) -> None:
    """Find or run what a published row describes; pass if every number is within its band, fail if not.

    Given a run's identifier or its first digits, make that run once more and compare every number; nothing is written.
    """
    if row and record:
        raise UsageError("--record takes no row.", "Leave one of the two.")
    if record:
        path, own = reproducing.record_rows(record, results=results, cache=cache, manifests=manifests)
        note(f"{path}: {', '.join(one.name for one in own)}. Rows that lack runs or had other options are left out.")
    elif row is None:
        _list(results, manifests)
    elif re.fullmatch(r"[0-9a-f]{4,12}", row):
        with Bars() as bars:
            repeated = reproducing.reproduce_run(
                row, within=within, device=device, preprocess=preprocess, allow_incomplete=allow_incomplete,
                results=results, cache=cache, data_root=data_root, manifests=manifests, progress=bars,
            )  # fmt: skip
        _compare(repeated)
    else:
        with Bars() as bars:
            done = reproducing.reproduce(
                row, device=device, results=results, cache=cache, data_root=data_root, manifests=manifests,
                progress=bars,
            )  # fmt: skip
        _judge(done)


def _compare(done: Repeated) -> None:
    run_id = done.run.spec.run_id
    if done.differences:
        table = Table("number", "before", "now", box=None, pad_edge=False)
        for one in done.differences:
            table.add_row(Text(one.what), *("-" if v is None else f"{v:.12g}" for v in (one.before, one.now)))
        out.print(table)
        before, now = (one.env.get("device_name", "unknown") for one in (done.run, done.again))
        where = f" (made on {before}, this is {now})" if before != now else ""
        raise CroftbenchError(
            f"{run_id}: {len(done.differences)} of {done.numbers} numbers differ{where}.",
            "Other machines differ in the last digits: --within says how far, in points.",
        )
    out.print(f"{run_id}: reproduced, {done.numbers} numbers as they were.", markup=False)


def _judge(done: Reproduction) -> None:
    table = Table("metric", "stated", "measured", "difference", "band", "", box=None, pad_edge=False)
    for check in done.checks:
        numbers = (f"{check.stated:.2f}", f"{check.measured:.2f}", f"{check.measured - check.stated:+.2f}")
        verdict = "pass" if check.passed else "fail"
        table.add_row(Text(check.column), *numbers, f"±{check.band:g}", verdict)
    out.print(table)
    name, checks = done.row.name, len(done.checks)
    if done.failed:
        raise CroftbenchError(f"{name}: {len(done.failed)} of {checks} numbers are outside their band.", "")
    out.print(f"{name}: reproduced, {checks} numbers within their band.", markup=False)


def _list(results: str | None, manifests: Path | None) -> None:
    there = {suite["name"] for suite in inventory.suites(manifests=manifests)}
    table = Table(box=None, pad_edge=False)
    for column in ("row", "provenance", "method", "suite", "here"):
        table.add_column(column, overflow="fold", no_wrap=column in ("row", "suite"))
    for row in reproducing.published_rows(results=results):
        head = row.head
        here = "yes" if head.suite in there else "no"
        table.add_row(*map(Text, (row.name, head.provenance, head.method, head.suite, here)))
    out.print(table)
