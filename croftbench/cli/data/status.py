"""`croftbench data status`: every split with its state, every suite with what it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from croftbench.api import disk
from croftbench.cli import options
from croftbench.cli.console import note, out, put_json
from croftbench.cli.help import epilog
from croftbench.data.status import SplitStatus, SuiteStatus

ROWS = 8
"""Splits of one family and one state that get a row each; more of them share one."""


@click.command(epilog=epilog("croftbench data status --data-root ~/data"))
@options.data_root
@options.as_json
@options.manifests
def status(
    data_root: Path | None,
    as_json: bool,
    manifests: Path | None,
) -> None:
    """Show which splits are on this machine and which suites can run on them."""
    here = disk.data_status(data_root=data_root, manifests=manifests)
    if as_json:
        put_json(here.to_dict())
        return
    out.print(_splits(here.splits))
    out.print()
    out.print(_suites(here.suites, here.splits))
    _say(here.splits, here.suites, here.data_root)


def _splits(known: Sequence[SplitStatus]) -> Table:
    table = Table("split", "state", "images", "layout", "where", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    table.columns[2].justify = "right"
    for column in (0, 4):
        table.columns[column].overflow = "fold"
    for _, members in groupby(known, key=lambda one: one.family):
        family = list(members)
        if all(one.state == "absent" for one in family):
            table.add_row(*_row(_all_of(family), family))
            continue
        for _, same in groupby(family, key=lambda one: (one.state, one.layout, one.at)):
            alike = list(same)
            if len(alike) > (1 if alike[0].shipped else ROWS):
                table.add_row(*_row(_all_of(alike), alike))
            else:
                for one in alike:
                    table.add_row(*_row(one.split, [one]))
    return table


def _all_of(alike: Sequence[SplitStatus]) -> str:
    return alike[0].split if len(alike) == 1 else f"{alike[0].family} ({len(alike)} splits)"


def _row(name: str, alike: Sequence[SplitStatus]) -> Iterable[str]:
    """The cells of splits that have one state."""
    first = alike[0]
    images, expected = sum(one.images for one in alike), sum(one.expected for one in alike)
    whole = first.state in ("complete", "variant", "uncounted")
    count = f"{images:,}" if whole else f"{images:,} of {expected:,}" if expected else f"{images:,}"
    where = "shipped" if first.shipped else first.message if first.state == "partial" else first.at
    where += " (a guess)" if first.guess else ""
    style = "green" if whole else "dim" if first.state == "absent" else "yellow"
    cells = (name, first.state, count if images else "", first.layout, where)
    return (f"[{style}]{escape(cell)}[/]" for cell in cells)


def _suites(able: Sequence[SuiteStatus], known: Sequence[SplitStatus]) -> Table:
    table = Table("suite", "", "lacks", box=None, pad_edge=False)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    table.columns[2].overflow = "fold"
    family_of = {one.split: one.family for one in known}
    for suite in sorted(able, key=lambda one: bool(one.lacks)):
        named = []
        for family, members in groupby(suite.lacks, key=family_of.__getitem__):
            lacking = list(members)
            named.append(lacking[0] if len(lacking) == 1 else f"{family} ({len(lacking)} splits)")
        state, style = ("needs data", "dim") if suite.lacks else ("can run", "green")
        table.add_row(*(f"[{style}]{escape(cell)}[/]" for cell in (suite.suite, state, ", ".join(named))))
    return table


def _say(known: Sequence[SplitStatus], able: Sequence[SuiteStatus], root: Path | None) -> None:
    """What it comes to, and the next command."""
    whole = sum(one.usable for one in known)
    ready = sum(not one.lacks for one in able)
    where = f"in {root} and the package" if root else "in the package"
    note(f"{whole} of {len(known)} splits can be used ({where}); {ready} of {len(able)} suites can run.")
    if root is None:
        note("No data folder is known: say --data-root FOLDER, or set CROFTBENCH_DATA.")
    guessed = next((one for one in known if one.guess), None)
    if guessed is not None:
        note(f"Where it says 'a guess', `croftbench data verify {guessed.split}` says of what, and how to confirm it.")
    broken = next((one for one in known if one.state in ("incomplete", "partial")), None)
    if broken is not None:
        note(f"`croftbench data verify {broken.split}` says what is missing.")
    elif whole < len(known):
        lost = next(one for one in known if not one.usable)
        note(f"`croftbench data get {lost.family}` fetches a data set, or says how to get it by hand.")
