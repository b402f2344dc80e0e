"""`croftbench compare`: is one method better than another, or is it noise?"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from croftbench.cli.console import RESULTS, DataRoot, Results, note, out
from croftbench.data.roots import Roots
from croftbench.errors import UsageError
from croftbench.suites import manifest

if TYPE_CHECKING:
    from croftbench.report.compare import Comparison


def compare(
    a: Annotated[str, typer.Argument(help="A method, 'method name=value', or one of its runs' identifiers.")],
    b: Annotated[str, typer.Argument(help="What to compare it with.")],
    suite: Annotated[
        list[str] | None, typer.Option(help="Name or path/to/suite.toml, repeatable; all with runs by default.")
    ] = None,
    scorer: Annotated[str | None, typer.Option(help="Detection score.", show_default="suite's headline")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Effects as fractions, for programs.")] = False,
    data_root: DataRoot = None,
    results: Results = RESULTS,
) -> None:
    """Compare two methods on the same images: effect, 95% interval, p, and p corrected for the number of tests."""
    from croftbench.report import compare as report

    chosen = suite or [name for name in manifest.names("suites") if (results / "runs" / name).is_dir()]
    if not chosen:
        raise UsageError(f"there are no runs in {results / 'runs'}.", "`croftbench run --method croft` makes some.")
    suites = [manifest.suite(name) for name in dict.fromkeys(chosen)]
    found = report.compare(results, suites, a, b, scorer, Roots(data_root))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
        return
    out.print(Text(f"{found.a} minus {found.b}, in points, on the same images; encoder {found.encoder}"))
    for name in dict.fromkeys(test.suite for test in found.tests):
        out.print(_table(found, name))
    for sentence in report.sentences(found):
        out.print(Text(sentence))
    note(" ".join([report.METHODS.format(n=len(found.tests)), *found.notes]))


def _table(found: Comparison, suite: str) -> Table:
    """One line a test of one suite; what is clear after correction in bold. Names are never read as markup."""
    table = Table("test", "objects", "effect", "95% interval", "p", "Holm p", title=Text(suite), box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    shown = {"accuracy": "Acc ↑", "auroc": "AUROC ↑", "fpr95": "FPR95 ↓"}
    tests = [test for test in found.tests if test.suite == suite]
    for test, following in zip_longest(tests, tests[1:]):
        effect, low, high = (f"{100 * value:+.2f}" for value in (test.effect, test.low, test.high))
        interval, name = f"{low} to {high}", f"{shown[test.metric]} {test.split}"
        cells = (name, f"{test.objects:,}", effect, interval, _p(test.p), _p(test.p_holm))
        last = following is not None and following.metric != test.metric
        table.add_row(*(Text(cell) for cell in cells), style="bold" if test.clear else "", end_section=last)
    return table


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
