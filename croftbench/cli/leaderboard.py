"""`croftbench leaderboard`: tables derived from the runs on disk."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from croftbench.cli.console import RESULTS, Results, note, out
from croftbench.errors import CroftbenchError, UsageError
from croftbench.suites import manifest
from croftbench.suites.language import Suite


class Format(StrEnum):
    """How to print a leaderboard."""

    rich = "rich"
    csv = "csv"
    md = "md"
    latex = "latex"
    html = "html"
    json = "json"


def leaderboard(
    suites: Annotated[list[str] | None, typer.Argument(help="All suites with runs by default.")] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Print in this format and write no files.", show_default=False)
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="CSV with one line a row, as in the files.")] = False,
    reported: Annotated[bool, typer.Option("--reported", help="Published rows below the measured ones.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail if the files differ from what the runs derive.")] = False,
    results: Results = RESULTS,
) -> None:
    """Rebuild and print the leaderboards; with --format, print them and leave the files alone."""
    chosen = suites or [name for name in manifest.names("suites") if (results / "runs" / name).is_dir()]
    _check_options(chosen, form, wide=wide, reported=reported, check=check)
    if not chosen:
        raise UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
    found = [manifest.suite(name) for name in dict.fromkeys(chosen)]
    if check:
        _check_files(found, results)
    else:
        _show(found, form, wide, reported, results)


def _show(suites: list[Suite], form: Format | None, wide: bool, reported: bool, results: Path) -> None:
    from croftbench.report import published, tables
    from croftbench.report.formats import data, latex, render

    boards = [tables.leaderboard(results, suite) for suite in suites]
    if reported:
        rows = published.read_all(results)
        boards = [replace(board, reported=published.matching(rows, board)) for board in boards]
        for board in (board for board in boards if not board.reported):
            note(f"No published row matches {board.suite.name}; `croftbench reproduce` lists all of them.")
    if form == Format.csv:
        typer.echo(data.to_wide(boards[0]) if wide else data.to_tidy(boards), nl=False)
    elif form == Format.json:
        typer.echo(data.to_json(boards), nl=False)
    elif form in (Format.md, Format.latex, Format.html):
        write = {Format.md: render.to_markdown, Format.latex: latex.to_latex, Format.html: render.to_html}[form]
        typer.echo("\n".join(map(write, boards)), nl=False)
    else:
        for board in boards:
            out.print(render.to_rich(board))
    for board in boards:
        # The files never hold published rows: they are what the runs derive.
        paths = [] if form else render.write_leaderboards(results, board.suite)
        written = f"Tables: {', '.join(map(str, paths))}. " if paths else ""
        if text := f"{written}{board.note}".rstrip():
            note(text)


def _check_options(suites: list[str], form: Format | None, *, wide: bool, reported: bool, check: bool) -> None:
    if check and (form or reported):
        raise UsageError("--check compares the committed files and prints no table.", "Leave --format and --reported.")
    if wide and form != Format.csv:
        raise UsageError("--wide is a shape of the CSV.", "Add --format csv.")
    if wide and (reported or len(set(suites)) > 1):
        raise UsageError(
            "a wide CSV holds the measured rows of one suite, as columns differ between suites.",
            "Leave --wide: the tidy one holds everything.",
        )


def _check_files(suites: list[Suite], results: Path) -> None:
    from croftbench.report.formats import render

    stale = [path for suite in suites for path in render.stale_leaderboards(results, suite)]
    if stale:
        files = ", ".join(map(str, stale))
        raise CroftbenchError(f"{files} differ from what the runs derive.", "`croftbench leaderboard` rebuilds them.")
