"""`croftbench compare`: is one method better than another, or is it noise?"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table
from rich.text import Text

from croftbench.api import reading
from croftbench.cli import options
from croftbench.cli.console import note, out, put_json
from croftbench.cli.help import epilog

if TYPE_CHECKING:
    from croftbench.report.compare import Comparison


EXAMPLES = """
croftbench compare croft zero-shot
croftbench compare croft "croft lambda2=0" -s emoji-open --json
"""


@click.command(epilog=epilog(EXAMPLES))
@click.argument("a", help="A method, 'method name=value', or one of its runs' identifiers.")
@click.argument("b", help="What to compare it with.")
@options.suite_filter
@options.scorer
@options.as_json
@options.data_root
@options.results
@options.cache
@options.manifests
def compare(
    a: str,
    b: str,
    suite: tuple[str, ...],
    scorer: str | None,
    as_json: bool,
    data_root: Path | None,
    results: str | None,
    cache: str | None,
    manifests: Path | None,
) -> None:
    """Compare two methods on the same images: effect, 95% interval, p, and p corrected for the number of tests."""
    from croftbench.report import compare as comparing

    done = reading.compare(
        a, b, options.names_of(suite), scorer=scorer, results=results, cache=cache, data_root=data_root,
        manifests=manifests,
    )  # fmt: skip
    if as_json:
        put_json(done.to_dict())
        return
    out.print(Text(f"{done.a} minus {done.b}, in points, on the same images; encoder {done.encoder}"))
    for name in dict.fromkeys(test.suite for test in done.tests):
        out.print(_table(done, name))
    for sentence in comparing.sentences(done):
        out.print(Text(sentence))
    note(" ".join([comparing.METHODS.format(n=len(done.tests)), *done.notes]))


def _table(done: Comparison, suite: str) -> Table:
    """One line a test of one suite; what is clear after correction in bold. Names are never read as markup."""
    table = Table("test", "objects", "effect", "95% interval", "p", "Holm p", title=Text(suite), box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    shown = {"accuracy": "Acc ↑", "auroc": "AUROC ↑", "fpr95": "FPR95 ↓"}
    tests = [test for test in done.tests if test.suite == suite]
    for test, following in zip_longest(tests, tests[1:]):
        effect, low, high = (f"{100 * value:+.2f}" for value in (test.effect, test.low, test.high))
        interval, name = f"{low} to {high}", f"{shown[test.metric]} {test.split}"
        cells = (name, f"{test.objects:,}", effect, interval, _p(test.p), _p(test.p_holm))
        last = following is not None and following.metric != test.metric
        table.add_row(*(Text(cell) for cell in cells), style="bold" if test.clear else "", end_section=last)
    return table


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
