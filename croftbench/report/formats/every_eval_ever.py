"""Runs as other tools read them: the Every Eval Ever schema, version 0.3.0, with a record for every image.

Fields and rules: `eval.schema.json` and `instance_level_eval.schema.json` of the package every-eval-ever 0.3.0 (MIT),
whose datastore wants `data/<collection>/<developer>/<model>/<uuid>.json` with `<uuid>_samples.jsonl` beside it. A run
is one evaluation, its suite the collection, its scores the results. Values are fractions, as they are stored.

An image of a known class is a record of its split's accuracy. One of an unknown class is a record of its split's FPR95
by the headline score: 1 where it is accepted, which is wrong. So the mean of a result's records is the result.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from croftbench.errors import DataError
from croftbench.files import write_atomically
from croftbench.report.columns import LOWER
from croftbench.report.naming import text
from croftbench.runs import per_image, results
from croftbench.runs.per_image import SplitTable
from croftbench.runs.results import RunResult, Score
from croftbench.stats import metrics

VERSION = "0.3.0"


def write(folder: Path, runs: Iterable[RunResult], headlines: dict[str, str], out: Path) -> list[Path]:
    """Write two files a run below `out`; the first of each.

    Args:
        folder: the results folder.
        runs: what to share.
        headlines: by suite, the scorer by which unknown images are accepted.
        out: a folder; files of the same runs are replaced.

    Raises:
        DataError: a run without its per-image table, or one that is damaged; `out` cannot be written to.
    """
    return [_write(folder, run, headlines[run.spec.suite], out) for run in runs]


def _write(folder: Path, run: RunResult, headline: str, out: Path) -> Path:
    path = per_image.path_of(folder, run.spec)
    if not path.is_file():
        raise DataError(f"run {run.spec.run_id} has no per-image table {path}.", results.again(path))
    log, records = of_run(run, per_image.read(path, run.table), headline)
    samples = out / str(log["detailed_evaluation_results"]["file_path"])
    target = samples.with_name(samples.name.replace("_samples.jsonl", ".json"))
    write_atomically(samples, "".join(f"{line}\n" for line in records), "export")
    write_atomically(target, json.dumps(log, indent=1, ensure_ascii=False) + "\n", "export")
    return target


def of_run(run: RunResult, tables: list[SplitTable], headline: str) -> tuple[dict[str, Any], list[str]]:
    """The aggregate record of a run, and a JSON line for every image."""
    spec = run.spec
    model = f"croftbench/{_portable(f'{spec.method}--{spec.encoder}')}"
    when = str(int(datetime.fromisoformat(run.created).timestamp()))
    shared = {
        "schema_version": VERSION,
        "evaluation_id": f"{spec.suite}/{model}/{when}/{spec.run_id}",
        "model_id": model,
    }
    records = [json.dumps(shared | record, ensure_ascii=False) for record in _records(run, tables, headline)]
    name = uuid.UUID(bytes=hashlib.sha256(spec.run_id.encode()).digest()[:16], version=4)
    samples = "".join(f"{line}\n" for line in records)
    return {
        "schema_version": VERSION,
        "evaluation_id": shared["evaluation_id"],
        "evaluation_timestamp": run.created,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": "croftbench",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "croftbench", "version": str(run.env.get("croftbench", "unknown"))},
        "model_info": {
            "name": f"{spec.method} on {spec.encoder}",
            "id": model,
            "developer": "croftbench",
            "additional_details": _texts(
                {"deployment_type": "self_deployed", "model_availability": "unknown", "method": spec.method}
                | {"method_version": spec.method_version, "encoder": spec.encoder}
                | {"weights_sha256": spec.weights_digest, "shots": spec.shots, "seed": spec.seed, "fold": spec.fold}
                | {"views": spec.views, "precision": spec.precision, "transform": spec.transform}
                | {f"hyper-parameter {key}": value for key, value in spec.params.items()}
            ),
        },
        "evaluation_results": [_result(run, score) for score in run.scores],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": f"data/{_portable(spec.suite)}/{model}/{name}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(samples.encode()).hexdigest(),
            "total_rows": len(records),
        },
    }, records


def _result(run: RunResult, score: Score) -> dict[str, Any]:
    """One number. Intervals are over images, 95%; see docs/metrics.md for how each is computed."""
    spec = run.spec
    parameters = _texts({"scorer": score.scorer, "positives": score.reference})
    return {
        "evaluation_result_id": _identifier(run, score.metric, score.split, score.scorer, score.reference),
        "evaluation_name": f"{spec.suite}/{score.split}",
        "source_data": {
            "dataset_name": f"{spec.suite}: {score.split} ({score.shift})",
            "source_type": "other",
            "additional_details": _texts({"suite_digest": spec.suite_digest, "data": spec.data}),
        },
        "metric_config": {
            "evaluation_description": f"{score.metric} on {score.split}" + (f" by {score.scorer}" * bool(score.scorer)),
            "metric_id": f"croftbench.{score.metric}" if score.metric not in ("accuracy", "auroc") else score.metric,
            "metric_name": score.metric,
            "metric_kind": score.metric,
            "metric_unit": "proportion",
            "metric_parameters": parameters,
            "lower_is_better": score.metric in LOWER,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": score.value,
            "details": _texts({"images_of_known_classes": score.n_id, "images_of_unknown_classes": score.n_ood}),
            "uncertainty": {
                "confidence_interval": {
                    "lower": score.low, "upper": score.high, "confidence_level": 0.95,
                    "method": "analytic, over images (croftbench docs/metrics.md)",
                },
                "num_samples": score.n_id + score.n_ood,
            },
        },
    }  # fmt: skip


def _records(run: RunResult, tables: list[SplitTable], headline: str) -> Iterator[dict[str, Any]]:
    """One a tested image, of the result that its split has."""
    own = next((t for t in tables if t.shift == "reference"), next(t for t in tables if t.shift == "id"))
    every = {(score.metric, score.split, score.scorer, score.reference): score for score in run.scores}
    for table in tables:
        unknown = table.shift == "semantic"
        threshold = 0.0
        if unknown:  # the positives may be the images alone whose class was right
            whole = every["fpr95", table.name, headline, own.name].n_id == len(own.labels)
            threshold = float(metrics.threshold_at_tpr(own.scores[headline][own.correct | whole]))
        of = ("fpr95", table.name, headline, own.name) if unknown else ("accuracy", table.name, "", "")
        wrong = table.scores[headline].astype(float) >= threshold if unknown else ~table.correct
        for i in range(len(table.labels)):
            image = table.images[i] if table.images else f"{table.name}#{i}"
            truth = "unknown" if table.labels[i] < 0 else f"class {table.labels[i]}"
            answer = f"class {table.predicted[i]}"
            if unknown and not wrong[i]:
                answer = "unknown"
            scores = {f"score {name}": repr(float(values[i])) for name, values in table.scores.items()}
            yield {
                "evaluation_name": f"{run.spec.suite}/{table.name}",
                "evaluation_result_id": _identifier(run, *of),
                "sample_id": image,
                "sample_hash": hashlib.sha256(f"{image}{truth}".encode()).hexdigest(),
                "interaction_type": "single_turn",
                "input": {"raw": image, "reference": [truth]},
                "output": {"raw": [answer]},
                "answer_attribution": [
                    {
                        "turn_idx": 0, "source": "output.raw", "extracted_value": answer,
                        "extraction_method": "arg-max of the logits", "is_terminal": True,
                    }
                ],
                "evaluation": {
                    "score": float(wrong[i] if unknown else not wrong[i]),
                    "is_correct": not bool(wrong[i]),
                },
                "metadata": {"split": table.name, "shift": table.shift} | scores,
            }  # fmt: skip


def _identifier(run: RunResult, *parts: str) -> str:
    return "/".join((run.spec.run_id, *(part or "-" for part in parts)))


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """All values as text, which the schema asks for; empty ones are left out."""
    return {name: text(value) for name, value in values.items() if value not in ("", None)}


def _portable(name: str) -> str:
    """A name as a folder of the datastore."""
    return re.sub(r"[^\w.+=,-]+", "-", name).strip("-. ") or "unnamed"
