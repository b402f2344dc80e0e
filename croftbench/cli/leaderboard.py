"""`croftbench leaderboard`: tables derived from the runs on disk."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import click

from croftbench import mirrors
from croftbench.api import reading
from croftbench.api.board import Leaderboard
from croftbench.api.suite_choice import suites_of
from croftbench.cli import options
from croftbench.cli.console import note, out, put, width
from croftbench.cli.help import epilog
from croftbench.errors import CroftbenchError, UsageError
from croftbench.locations import Folders

EXAMPLES = """
croftbench leaderboard
croftbench leaderboard emoji-open -m croft,zero-shot
croftbench leaderboard emoji-open --format md
croftbench leaderboard --format csv --reported > all.csv
"""


class Format(StrEnum):
    """How to print a leaderboard."""

    rich = "rich"
    csv = "csv"
    md = "md"
    latex = "latex"
    html = "html"
    json = "json"


@click.command(epilog=epilog(EXAMPLES))
@options.suite_names
@click.option("--format", "form", type=click.Choice(Format), help="Print in this format and write no files.")
@options.method_filter
@click.option("--latest", is_flag=True, help="Of each method's code only the version run last.")
@options.seeds
@click.option("--all-seeds", is_flag=True, help="Average over every seed that was run.")
@click.option("--wide", is_flag=True, help="All columns; of a CSV, one line a row, as in the files.")
@click.option("--reported", is_flag=True, help="Published rows below the measured ones.")
@click.option("--check", is_flag=True, help="Fail if the files differ from what the runs derive.")
@options.results
@options.cache
@options.manifests
def leaderboard(
    suites: tuple[str, ...],
    form: Format | None,
    method: tuple[str, ...],
    latest: bool,
    seeds: str,
    all_seeds: bool,
    wide: bool,
    reported: bool,
    check: bool,
    results: str | None,
    cache: str | None,
    manifests: Path | None,
) -> None:
    """Rebuild and print the leaderboards; with --format, or of chosen rows or seeds, leave the files alone."""
    chosen = suites_of(suites, Folders.of(results, cache, manifests=manifests))
    if seeds and all_seeds:
        raise UsageError("--seeds and --all-seeds are two answers to one question.", "Give one of them.")
    asked: list[int] | Literal["all"] | None = "all" if all_seeds else options.seeds_of(seeds)
    partly = bool(method or latest or asked)
    _check_options(len(chosen), form, wide=wide, only_print=reported or partly, check=check)
    if check:
        stale = [path for suite in chosen for path in reading.stale_tables(suite, results=results, cache=cache)]
        if stale:
            files = ", ".join(map(str, stale))
            raise CroftbenchError(
                f"{files} differ from what the runs derive.", "`croftbench leaderboard` rebuilds them."
            )
        return
    from croftbench.report.rows import no_garbage

    with no_garbage():
        boards = [
            reading.leaderboard(
                suite,
                seeds=asked,
                methods=options.methods_of(method),
                latest=latest,
                published=reported,
                results=results,
                cache=cache,
            )
            for suite in chosen
        ]
        for one in boards if reported else ():
            if not one.board.reported:
                note(f"No published row matches {one.suite.name}; `croftbench reproduce` lists all of them.")
        _show(boards, form, wide)
        for one in boards:
            # The files never hold published rows: they are what the runs derive.
            paths = [] if form or partly else one.write_tables()
            written = f"Tables: {', '.join(map(mirrors.named, paths))}. " if paths else ""
            if text := f"{written}{one.board.note}".rstrip():
                note(text)


def _show(leaderboards: list[Leaderboard], form: Format | None, wide: bool) -> None:
    from croftbench.report.formats import data, html, latex, markdown, terminal

    boards = [one.board for one in leaderboards]
    if form == Format.csv:
        put(data.to_wide(boards[0]) if wide else data.to_tidy(boards), end="")
    elif form == Format.json:
        put(data.to_json(boards), end="")
    elif form in (Format.md, Format.latex, Format.html):
        write = {Format.md: markdown.to_markdown, Format.latex: latex.to_latex, Format.html: html.to_html}[form]
        put("\n".join(map(write, boards)), end="")
    else:
        for board in boards:
            out.print(terminal.to_text(board, width(), wide))


def _check_options(suites: int, form: Format | None, *, wide: bool, only_print: bool, check: bool) -> None:
    if check and (form or only_print):
        raise UsageError(
            "--check compares the committed files and prints no table.", "Leave all options but --results."
        )
    if wide and form not in (None, Format.csv):
        raise UsageError(f"--wide is a shape of the CSV and of the table, and {form} has one.", "Leave --wide.")
    if wide and form == Format.csv and (only_print or suites > 1):
        raise UsageError(
            "a wide CSV holds the measured rows of one suite, as columns differ between suites.",
            "Leave --wide: the tidy one holds everything.",
        )
