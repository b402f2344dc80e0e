"""`croftbench data verify`: a split against its manifest, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from croftbench.api import disk
from croftbench.cli import options
from croftbench.cli.console import out, put_json
from croftbench.cli.help import epilog
from croftbench.data.get.where import expected_paths
from croftbench.data.verify import Checked, ClassCount, Report, Verified
from croftbench.progress import Bars
from croftbench.suites.families import Family

split = click.argument("split", help="A split, 'pacs/photo', or all splits of a family, 'pacs'.")

SHORT = 12
"""Classes up to which all are listed; beyond, only those whose count differs."""
SHOWN = 20
"""Lines of a list that may be long; --json has them all."""


@click.command(epilog=epilog("croftbench data verify digits\ncroftbench data verify pacs --deep"))
@split
@click.option("--deep", is_flag=True, help="Decode every image.")
@options.data_root
@options.as_json
@options.manifests
def verify(
    split: str,
    deep: bool,
    data_root: Path | None,
    as_json: bool,
    manifests: Path | None,
) -> None:
    """Compare a split with its manifest: counts, strays, unreadable files. Exit 1 where it falls short."""
    bars = Bars()
    with bars if deep else nullcontext():
        verified = disk.verify_data(split, deep=deep, data_root=data_root, manifests=manifests, progress=bars)
    if as_json:
        put_json(verified.to_dict())
        if verified.fault:
            raise verified.fault
    else:
        print_reports(verified)


def print_reports(verified: Verified) -> None:
    """Print what was found, and what to do.

    Raises:
        DataError: a split is not what it should be.
    """
    reports = verified.reports
    for report in reports:
        _print(report)
    if not any(report.places for report in reports):
        print_places(reports[0].family, verified.data)
    if verified.fault:
        raise verified.fault
    used = reports[0].family.name if len(reports) > 1 else reports[0].split
    out.print(f"{used}: nothing to do, it can be used as it is.", markup=False)


def print_places(family: Family, root: Path | None) -> None:
    """Print where a family's files would be found."""
    out.print("It is looked for in:", markup=False)
    for layout, path in expected_paths(family):
        out.print(f"  {path if root is None else root / path}  ({layout})", markup=False)


def _print(report: Report) -> None:
    if not report.places:
        out.print(f"[bold]{escape(report.split)}[/]: not found")
    for i, place in enumerate(report.places):
        where = f"{place.layout} in {place.at or '.'}" if report.family.content == "" else "shipped"
        taken = ", the one that runs take" if len(report.places) > 1 and i == 0 else ""
        state = place.verdict.state
        style = {"complete": "green", "incomplete": "red"}.get(state, "yellow")
        out.print(f"[bold]{escape(report.split)}[/]: [{style}]{state}[/], {escape(place.verdict.message)}")
        out.print(f"  {where}{taken}", markup=False)
        _print_details(place)
    for why in report.failed:
        out.print(f"  {why}", markup=False)
    if report.part.note and not (report.places and report.places[0].sound):
        out.print(f"  {report.part.note}", markup=False)


def _print_details(place: Checked) -> None:
    if (table := _counts(place.classes)) is not None:
        out.print(table)
    for line in place.notes:
        out.print(f"  {line}", markup=False)
    if place.recorded is not None:
        out.print(f"  file names: {'as' if place.recorded else 'NOT as'} recorded", markup=False)
    if place.decoded:
        out.print(f"  {place.decoded - len(place.unreadable):,} of {place.decoded:,} images decoded", markup=False)
    for remark, count in place.remarks.items():
        out.print(f"  {count:,} {remark}", markup=False)
    for path, why in place.unreadable[:SHOWN]:
        out.print(f"    {path}: {why}", markup=False)
    if len(place.unreadable) > SHOWN:
        out.print(f"    and {len(place.unreadable) - SHOWN} more; --json names all", markup=False)


def _counts(classes: Sequence[ClassCount]) -> Table | None:
    """The classes that a reader wants to see: all of a few, else those whose number differs."""
    rows = classes if len(classes) <= SHORT else [c for c in classes if c.expected not in (-1, c.images)]
    if not rows:
        return None
    table = Table("   class", "images", "expected", "", box=None, pad_edge=False)
    for column in (1, 2):
        table.columns[column].justify = "right"
    for one in rows[:SHOWN]:
        expected = "?" if one.expected < 0 else f"{one.expected:,}"
        style = "" if one.expected in (-1, one.images) else "[yellow]"
        name = "" if one.name == one.id else one.name
        table.add_row(*(f"{style}{escape(cell)}" for cell in (f"   {one.id}", f"{one.images:,}", expected, name)))
    if len(rows) > SHOWN:
        table.add_row(f"   and {len(rows) - SHOWN} more")
    return table
