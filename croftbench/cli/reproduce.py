"""`croftbench reproduce`: a published row, run here, against its stated band."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from croftbench import encoders, plugins
from croftbench.cli.console import CACHE, RESULTS, Cache, Results, note, out
from croftbench.errors import CroftbenchError, DataError, UsageError
from croftbench.suites import manifest
from croftbench.suites.language import Suite

if TYPE_CHECKING:
    from croftbench.report.published import Check, Entry, Reported
    from croftbench.runs.results import RunResult
    from croftbench.runs.spec import RunSpec


def reproduce(
    row: Annotated[str | None, typer.Argument(help="A published row; without one, list them.")] = None,
    record: Annotated[
        str | None, typer.Option(help="A suite: publish its complete rows as rows of our own.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    results: Results = RESULTS,
    cache: Cache = CACHE,
) -> None:
    """Find or run what a published row describes; pass if every number is within its band, fail if not."""
    from croftbench.report import published

    if row and record:
        raise UsageError("--record takes no row.", "Leave one of the two.")
    if record:
        _record(manifest.suite(record), results, cache)
        return
    rows = published.read_all(results)
    if not rows:
        raise DataError(f"there are no published rows in {results / 'reported'}.", "Point --results at a checkout's.")
    if row is None:
        _list(rows)
    else:
        _reproduce(published.find(rows, row), device, results, cache)


def _reproduce(row: Reported, device: str, results: Path, cache: Path) -> None:
    from croftbench.report import published, tables

    head = row.head
    if head.suite not in manifest.names("suites"):
        what = f"suite '{head.suite}'" if head.suite else "a suite that measures it"
        raise UsageError(
            f"published row {row.name} needs {what}, which this version lacks.", "See `croftbench list suites`."
        )
    suite = manifest.suite(head.suite)
    if not suite.digest.startswith(head.suite_digest):
        raise DataError(
            f"published row {row.name} is of digest {head.suite_digest} of {suite.name}, which is now "
            f"{suite.digest[:12]}.",
            f"Record it again: croftbench reproduce --record {suite.name}",
        )
    published.banded(row)
    plugins.describe(head.method, cache)
    seeds = tuple(map(int, head.seeds.split())) or suite.protocol.seeds
    runs = _matching(head, suite, seeds, results, cache)
    if len(runs) < len(seeds) * len(suite.folds):
        _check_weights(row, cache)
        _run(head, seeds, device, results, cache)
        runs = _matching(head, suite, seeds, results, cache)
    if len(runs) < len(seeds) * len(suite.folds):
        raise DataError(
            f"{results} has {len(runs)} of the {len(seeds) * len(suite.folds)} runs that published row {row.name} is "
            f"the mean of.",
            f"Run: croftbench run --suite {suite.name} --method {head.method} --encoder {head.encoder}",
        )
    _judge(row, published.checks(row, tables.of_runs(runs, suite, seeds), head.method))


def _check_weights(row: Reported, cache: Path) -> None:
    """Fail before hours of training, not after: other weights can only give other numbers."""
    head = row.head
    identity = encoders.identity(head.encoder, cache) or encoders.load(head.encoder, "cpu", cache).identity
    if not identity.weights_digest.startswith(head.weights_digest):
        raise DataError(
            f"published row {row.name} is of {head.encoder} with weights {head.weights_digest}, and those here are "
            f"{identity.weights_digest[:12]}.",
            f"Install the version that recorded it: {head.source}.",
        )


def _matching(head: Entry, suite: Suite, seeds: tuple[int, ...], results: Path, cache: Path) -> list[RunResult]:
    """The finished runs of the row's configuration, one a seed and fold."""
    from croftbench.runs import results as runs

    shots = int(head.shots) if head.shots else suite.protocol.shots
    found: dict[tuple[int, str], RunResult] = {}
    for run in runs.read_all(results, suite.name):
        spec = run.spec
        asked = (spec.method, spec.encoder) == (head.method, head.encoder) and spec.seed in seeds
        if not (asked and spec.weights_digest.startswith(head.weights_digest) and _plain(spec, suite, shots, cache)):
            continue
        other = found.setdefault((spec.seed, spec.fold), run)
        if other is not run:
            raise DataError(
                f"runs {other.spec.run_id} and {spec.run_id} differ only in weights, transform or precision.",
                "Keep them in separate folders with --results.",
            )
    return list(found.values())


def _plain(spec: RunSpec, suite: Suite, shots: int, cache: Path) -> bool:
    """Whether `croftbench run` makes this run without options: own hyper-parameters and the suite's recipe."""
    if not plugins.is_registered(spec.method) or spec.suite_digest != suite.digest:
        return False
    info = plugins.describe(spec.method, cache)
    params = info.resolve(info.recipe(suite.recipes))
    plain = (info.version, info.source, params, shots, suite.protocol.views)
    return (spec.method_version, spec.source, dict(spec.params), spec.shots, spec.views) == plain


def _run(head: Entry, seeds: tuple[int, ...], device: str, results: Path, cache: Path) -> None:
    from croftbench.cli import run

    run.run(
        method=head.method, suite=head.suite, encoder=head.encoder, seeds=",".join(map(str, seeds)),
        shots=int(head.shots) if head.shots else None, views=None, settings=None, device=device, results=results,
        cache=cache,
    )  # fmt: skip


def _judge(row: Reported, checks: list[Check]) -> None:
    table = Table("metric", "stated", "measured", "difference", "band", "", box=None, pad_edge=False)
    for check in checks:
        numbers = (f"{check.stated:.2f}", f"{check.measured:.2f}", f"{check.measured - check.stated:+.2f}")
        verdict = "pass" if check.passed else "fail"
        table.add_row(Text(check.column), *numbers, f"±{check.band:g}", verdict)
    out.print(table)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise CroftbenchError(f"{row.name}: {len(failed)} of {len(checks)} numbers are outside their band.", "")
    out.print(f"{row.name}: reproduced, {len(checks)} numbers within their band.", markup=False)


def _list(rows: list[Reported]) -> None:
    suites = set(manifest.names("suites"))
    table = Table(box=None, pad_edge=False)
    for column in ("row", "provenance", "method", "suite", "here"):
        table.add_column(column, overflow="fold", no_wrap=column in ("row", "suite"))
    for row in rows:
        head = row.head
        here = "yes" if head.suite in suites else "no"
        table.add_row(*map(Text, (row.name, head.provenance, head.method, head.suite, here)))
    out.print(table)


def _record(suite: Suite, results: Path, cache: Path) -> None:
    """Write the ranked rows that `croftbench run` makes without further options; others could not be found again."""
    from croftbench.report import own_rows, tables
    from croftbench.report import rows as labels
    from croftbench.runs import results as runs

    seeds, shots = suite.protocol.seeds, suite.protocol.shots
    groups: dict[str, list[RunResult]] = {}
    for run in runs.read_all(results, suite.name):
        local = "@" in run.spec.encoder  # weights in a file of this machine's
        if run.spec.seed in seeds and not local and _plain(run.spec, suite, shots, cache):
            groups.setdefault(labels.configuration(run.spec), []).append(run)
    boards = {name: tables.of_runs(group, suite, seeds) for name, group in groups.items()}
    specs = {name: group[0].spec for name, group in groups.items() if boards[name].table["ranked"][0]}
    if not specs:
        raise DataError(f"{results} has no complete row of {suite.name}.", f"Run: croftbench run --suite {suite.name}")
    if len({spec.method for spec in specs.values()}) < len(specs):
        raise DataError(
            f"{results} has several encoders or weights for one method of {suite.name}.",
            "Record from a folder that has one.",
        )
    rows = [own_rows.own(boards[name], spec.method, spec.encoder, spec.weights_digest) for name, spec in specs.items()]
    path = own_rows.record(results, rows)
    note(f"{path}: {', '.join(row.name for row in rows)}. Rows that lack runs or had other options are left out.")
