"""Is a published row found again here? Which runs are its repetition, and whether each number is within its band."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from croftbench import plugins
from croftbench.encoders.identity import Identity
from croftbench.errors import DataError, UsageError
from croftbench.report import agreement, own_rows, tables
from croftbench.report.agreement import Check
from croftbench.report.published import PublishedRow
from croftbench.report.rows import grouped
from croftbench.runs import planning
from croftbench.runs.results import RunResult
from croftbench.runs.spec import RunSpec
from croftbench.suites import manifest
from croftbench.suites.language import Suite
from croftbench.suites.shelves import Where


@dataclass(frozen=True)
class Reproduction:
    """A published row held against runs: one check a number."""

    row: PublishedRow
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Numbers outside their band."""
        return tuple(check for check in self.checks if not check.passed)


@dataclass(frozen=True)
class Target:
    """What a published row asks for.

    Attributes:
        row: as published.
        suite: that measures the same.
        seeds, shots: of its runs.
    """

    row: PublishedRow
    suite: Suite
    seeds: tuple[int, ...]
    shots: int

    @property
    def expected(self) -> int:
        """How many runs the row is the mean of."""
        return len(self.seeds) * len(self.suite.folds)


def target(row: PublishedRow, manifests: Where = None) -> Target:
    """What a published row asks for.

    Raises:
        UsageError: this version lacks its suite, or nobody stated a band.
        DataError: the suite has changed since.
    """
    head = row.head
    if head.suite not in manifest.names("suites", manifests):
        what = f"suite '{head.suite}'" if head.suite else "a suite that measures it"
        raise UsageError(
            f"published row {row.name} needs {what}, which this version lacks.", "See `croftbench list suites`."
        )
    suite = manifest.suite(head.suite, manifests)
    if not suite.digest.startswith(head.suite_digest):
        raise DataError(
            f"published row {row.name} is of digest {head.suite_digest} of {suite.name}, which is now "
            f"{suite.digest[:12]}.",
            f"Record it again: `croftbench reproduce --record {suite.name}`",
        )
    agreement.banded(row)
    seeds = tuple(map(int, head.seeds.split())) or suite.protocol.seeds
    return Target(row, suite, seeds, int(head.shots) if head.shots else suite.protocol.shots)


def check_weights(row: PublishedRow, identity: Identity) -> None:
    """Fail before hours of training, not after: other weights can only give other numbers.

    Raises:
        DataError: the encoder here has other weights than the row's.
    """
    head = row.head
    if not identity.weights_digest.startswith(head.weights_digest):
        raise DataError(
            f"published row {row.name} is of {head.encoder} with weights {head.weights_digest}, and those here are "
            f"{identity.weights_digest[:12]}.",
            f"Install the version that recorded it: {head.source}.",
        )


def matching(asked: Target, runs: Iterable[RunResult], cache: Path) -> list[RunResult]:
    """The finished runs of the row's configuration, one a seed and fold.

    Raises:
        DataError: two runs that only differ in what no row states.
    """
    head = asked.row.head
    chosen: dict[tuple[int, str], RunResult] = {}
    for run in runs:
        spec = run.spec
        wanted = (spec.method, spec.encoder) == (head.method, head.encoder) and spec.seed in asked.seeds
        same = wanted and spec.weights_digest.startswith(head.weights_digest)
        if not (same and is_plain(spec, asked.suite, asked.shots, cache)):
            continue
        other = chosen.setdefault((spec.seed, spec.fold), run)
        if other is not run:
            raise DataError(
                f"runs {other.spec.run_id} and {spec.run_id} differ only in weights, transform or precision.",
                "Keep them in separate folders with --results.",
            )
    return list(chosen.values())


def judge(asked: Target, runs: list[RunResult], results: Path) -> Reproduction:
    """Every number of the row against these runs.

    Raises:
        DataError: runs are missing.
    """
    head = asked.row.head
    if len(runs) < asked.expected:
        raise DataError(
            f"{results} has {len(runs)} of the {asked.expected} runs that published row {asked.row.name} is "
            f"the mean of.",
            f"`croftbench run --suite {asked.suite.name} --method {head.method} --encoder {head.encoder}`",
        )
    board = tables.of_runs(runs, asked.suite, asked.seeds)
    return Reproduction(asked.row, tuple(agreement.checks(asked.row, board, head.method)))


def is_plain(spec: RunSpec, suite: Suite, shots: int, cache: Path) -> bool:
    """Whether `croftbench run` makes this run without options: own hyper-parameters and the suite's recipe."""
    if not plugins.is_registered(spec.method) or spec.suite_digest != suite.digest:
        return False
    info = plugins.describe(spec.method, cache)
    _, params = planning.hyperparameters(suite, info, shots)
    plain = (info.version, info.source, params, shots, suite.protocol.views)
    return (spec.method_version, spec.source, dict(spec.params), spec.shots, spec.views) == plain


def record(suite: Suite, runs: Iterable[RunResult], results: Path, cache: Path) -> tuple[Path, list[PublishedRow]]:
    """Publish the ranked rows that `croftbench run` makes without options as rows of our own; others could not be
    found again.

    Raises:
        DataError: there is none, or one method has several encoders or weights.
    """
    seeds, shots = suite.protocol.seeds, suite.protocol.shots
    plain = [
        run
        for run in runs
        # "@": weights in a file of this machine's
        if run.spec.seed in seeds and "@" not in run.spec.encoder and is_plain(run.spec, suite, shots, cache)
    ]
    boards = [tables.of_runs(row.runs, suite, seeds) for row in grouped(plain)]
    complete = [(board, board.rows[0].spec) for board in boards if board.table["ranked"][0]]
    if not complete:
        raise DataError(
            f"{results} has no complete row of {suite.name}.",
            f"`croftbench run --method zero-shot,croft --suite {suite.name}`",
        )
    if len({spec.method for _, spec in complete}) < len(complete):
        raise DataError(
            f"{results} has several encoders or weights for one method of {suite.name}.",
            "Record from a folder that has one.",
        )
    own = [own_rows.own(board, spec.method, spec.encoder, spec.weights_digest) for board, spec in complete]
    return own_rows.record(results, own), own
