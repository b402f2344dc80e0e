"""Rows of a leaderboard as a model repository of the Hugging Face hub keeps them: `.eval_results/*.yaml`.

Layout: the hub's page "Evaluation results" (docs/hub/eval-results of huggingface/hub-docs), as `huggingface_hub` writes
it. An entry names a data set on the hub that is registered as a benchmark, and a task of
its `eval.yaml`; croftbench's suites are none by themselves, so whoever shares says which data set holds the suite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from croftbench.errors import UsageError
from croftbench.files import write_atomically
from croftbench.report import board_rows, columns
from croftbench.report.board_rows import BoardRow
from croftbench.report.tables import Board


def write(board: Board, dataset: str, out: Path) -> list[Path]:
    """Write a file for each row of a board: `<out>/<row>/.eval_results/<suite>.yaml`, to be copied into its repository.

    Args:
        board: whose headline columns are written, in percent, means over seeds.
        dataset: of the hub, "owner/name": the benchmark.
        out: a folder; files of the same rows are replaced.

    Raises:
        UsageError: a data set's name that is none. DataError: `out` cannot be written to.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset):
        raise UsageError(f"'{dataset}' names no data set of the hub.", "--dataset OWNER/NAME")
    paths = []
    for row in board_rows.collect(board):
        path = out / re.sub(r"[^\w.+=-]+", "-", row.name).strip("-") / ".eval_results" / f"{board.suite.name}.yaml"
        entries = eval_result_entries_to_yaml([*_entries(board, row, dataset)])
        write_atomically(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=1000), "export")
        paths.append(path)
    return paths


def task(column: str) -> str:
    """The identifier of a column's task: "accuracy-covariate-mean"."""
    return re.sub(r"[^\w-]+", "-", column)


def _entries(board: Board, row: BoardRow, dataset: str) -> Iterator[EvalResultEntry]:
    suite, spec = board.suite, row.spec
    notes = (
        f"{row.label}; {spec.encoder}; suite {suite.name} version {suite.version} ({suite.digest[:12]}); "
        f"{spec.shots} shots; percent, mean over seeds {', '.join(map(str, board.seeds))}"
    )
    for column in columns.headline(suite):
        value = row.values.get(column.name)
        if value is not None and not pd.isna(value):
            yield EvalResultEntry(
                dataset_id=dataset,
                task_id=task(column.name),
                value=round(100 * float(value), 2),
                date=max(run.created for run in row.runs),
                notes=notes,
            )
