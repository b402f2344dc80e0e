"""Runs as other tools read them: fields as their schemas name them, numbers as ours."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml, parse_eval_result_entries

import croftbench
from croftbench.errors import CroftbenchError, UsageError

TEXT, NUMBER, TRUTH = str, (int, float), bool
TEXTS = {"*": TEXT}  # any names, all values text
RESULT = {
    "evaluation_result_id?": TEXT, "evaluation_name": TEXT, "evaluation_timestamp?": TEXT,
    "source_data": {"dataset_name": TEXT, "source_type": {"other"}, "additional_details?": TEXTS},
    "metric_config": {
        "evaluation_description?": TEXT, "metric_id?": TEXT, "metric_name?": TEXT, "metric_kind?": TEXT,
        "metric_unit?": TEXT, "metric_parameters?": TEXTS, "lower_is_better": TRUTH,
        "score_type?": {"binary", "continuous", "levels"}, "min_score?": NUMBER, "max_score?": NUMBER,
    },
    "score_details": {
        "score": NUMBER, "details?": TEXTS,
        "uncertainty?": {
            "confidence_interval?": {"lower": NUMBER, "upper": NUMBER, "confidence_level?": NUMBER, "method?": TEXT},
            "num_samples?": int,
        },
    },
}  # fmt: skip
LOG = {
    "schema_version": {"0.3.0"}, "evaluation_id": TEXT, "evaluation_timestamp?": TEXT, "retrieved_timestamp": TEXT,
    "source_metadata": {
        "source_name?": TEXT, "source_type": {"documentation", "evaluation_run"}, "source_organization_name": TEXT,
        "evaluator_relationship": {"first_party", "third_party", "collaborative", "other"},
    },
    "eval_library": {"name": TEXT, "version": TEXT},
    "model_info": {"name": TEXT, "id": TEXT, "developer?": TEXT, "additional_details": TEXTS},
    "evaluation_results": [RESULT],
    "detailed_evaluation_results?": {
        "format": {"jsonl"}, "file_path": TEXT, "hash_algorithm?": {"sha256", "md5"}, "checksum?": TEXT,
        "total_rows?": int,
    },
}  # fmt: skip
RECORD = {
    "schema_version": TEXT, "evaluation_id": TEXT, "model_id": TEXT, "evaluation_name": TEXT,
    "evaluation_result_id?": TEXT, "sample_id": TEXT, "sample_hash?": TEXT, "interaction_type": {"single_turn"},
    "input": {"raw": TEXT, "reference": [TEXT]}, "output": {"raw": [TEXT]},
    "answer_attribution": [
        {"turn_idx": int, "source": TEXT, "extracted_value": TEXT, "extraction_method": TEXT, "is_terminal": TRUTH}
    ],
    "evaluation": {"score": NUMBER, "is_correct": TRUTH}, "metadata?": TEXTS,
}  # fmt: skip
"""Fields of every-eval-ever 0.3.0 that we write, restated; "?": may be left out. Others are refused, as there."""


def fits(value, form, at="") -> None:
    """Assert that a value has a form's fields, types and words."""
    if isinstance(form, dict):
        assert isinstance(value, dict), at
        names = {name.rstrip("?"): inner for name, inner in form.items()}
        assert {name for name in form if name[-1] not in "?*"} <= set(value), at
        for name, of in value.items():
            assert "*" in names or name in names, f"{at}.{name}"
            fits(of, names.get(name, names.get("*")), f"{at}.{name}")
    elif isinstance(form, list):
        assert isinstance(value, list) and value, at
        for one in value:
            fits(one, form[0], f"{at}[]")
    elif isinstance(form, set):
        assert value in form, at
    else:
        assert isinstance(value, form) and (form is TRUTH or not isinstance(value, bool)), at


@pytest.fixture
def records(made, tmp_path) -> tuple[list, Path]:
    """Two runs of a suite that ships, and the folder of their records."""
    runs = [made(tmp_path / "results", "croft", seed) for seed in (1, 2)]
    croftbench.export_runs(tmp_path / "out", form="every-eval-ever", results=tmp_path / "results")
    return runs, tmp_path / "out"


def test_records_have_the_schema_s_fields_and_places(records):
    runs, out = records
    logs = list(out.rglob("*.json"))
    assert len(logs) == len(runs)
    for path in logs:
        uuid4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
        assert re.fullmatch(
            rf"data/emoji-open/croftbench/croft--clip-a/{uuid4}\.json", path.relative_to(out).as_posix()
        )
        log = json.loads(path.read_text())
        fits(log, LOG)
        samples = out / log["detailed_evaluation_results"]["file_path"]
        assert samples == path.with_name(f"{path.stem}_samples.jsonl")
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        assert len(lines) == log["detailed_evaluation_results"]["total_rows"]
        there = {result["evaluation_result_id"] for result in log["evaluation_results"]}
        assert len(there) == len(log["evaluation_results"])
        for line in lines:
            fits(line, RECORD)
            assert line["evaluation_result_id"] in there and line["evaluation_id"] == log["evaluation_id"]
        for result in log["evaluation_results"]:
            span = result["score_details"]["uncertainty"]["confidence_interval"]
            assert 0 <= span["lower"] <= result["score_details"]["score"] <= span["upper"] <= 1


def test_the_mean_of_a_result_s_records_is_the_result(records):
    """For accuracy of every known split, and FPR95 by the headline of every unknown one."""
    _, out = records
    for path in out.rglob("*.json"):
        log = json.loads(path.read_text())
        of = defaultdict(list)
        for line in path.with_name(f"{path.stem}_samples.jsonl").read_text().splitlines():
            record = json.loads(line)
            of[record["evaluation_result_id"]].append(record["evaluation"]["score"])
        values = {r["evaluation_result_id"]: r["score_details"]["score"] for r in log["evaluation_results"]}
        assert len(of) == 9  # five known splits, four unknown
        for name, scores in of.items():
            assert sum(scores) / len(scores) == pytest.approx(values[name], abs=1e-12)


def test_the_schema_s_own_package_agrees(records):
    core = pytest.importorskip("every_eval_ever.validator.validation_core", reason="every-eval-ever needs Python 3.12")
    _, out = records
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    for name, path in files.items():
        report = core.validate_file(
            path, repo_path=name, available_files=set(files), read_repo_file=lambda of: files[of].read_text(),
            run_semantic_checks=True,
        )  # fmt: skip
        assert report.valid and not report.errors and not report.warnings


def test_the_hub_reads_its_entries_back(made, tmp_path):
    """By its own library; a row's values are the leaderboard's, in percent."""
    for seed in (1, 2, 3):
        made(tmp_path / "results", "croft", seed)
    croftbench.export_runs(tmp_path / "out", form="hub", dataset="me/emoji-open", results=tmp_path / "results")
    data = yaml.safe_load((tmp_path / "out/croft/.eval_results/emoji-open.yaml").read_text())
    entries = parse_eval_result_entries(data)
    assert eval_result_entries_to_yaml(entries) == data
    assert all(isinstance(entry, EvalResultEntry) and entry.dataset_id == "me/emoji-open" for entry in entries)
    table = croftbench.leaderboard("emoji-open", results=tmp_path / "results").wide
    values = {entry.task_id: entry.value for entry in entries}
    assert values["accuracy-id"] == round(100 * table["accuracy/id"][0], 2)
    assert values["fpr95-semantic-mean"] == round(100 * table["fpr95/semantic-mean"][0], 2)


@pytest.mark.parametrize(
    "asked", [{"form": "hub"}, {"dataset": "a/b"}, {"form": "hub", "dataset": "x"}, {"form": "zp"}]
)
def test_what_cannot_be_shared_is_said(made, tmp_path, asked):
    made(tmp_path / "results", "croft", 1)
    with pytest.raises(UsageError):
        croftbench.export_runs(tmp_path / "out", results=tmp_path / "results", **asked)
    assert not (tmp_path / "out").exists()


def test_a_run_without_its_table_is_not_shared(made, tmp_path):
    made(tmp_path / "results", "croft", 1)
    next((tmp_path / "results").rglob("*.parquet")).unlink()
    with pytest.raises(CroftbenchError):
        croftbench.export_runs(tmp_path / "out", form="every-eval-ever", results=tmp_path / "results")
