"""`croftbench diagnose`: the paper's claim, measured, from the command line to its table and picture."""

import json
import statistics

import pytest

from croftbench.methods.clip_adapter import CLIPAdapter
from croftbench.plugins.recipes import at_shots
from croftbench.report import diagnosis


def test_a_sweep_leaves_a_record_a_table_and_a_picture(croftbench, suite_file, tmp_path):
    arguments = ["diagnose", "croft", "--suite", suite_file, "--set", "epochs=4", "--sweep", "lambda2=0,0.01,50"]
    code, out, err = croftbench(*arguments)
    assert code == 0, err
    folder = tmp_path / "results/diagnosis/food"
    record = json.loads((folder / "croft.json").read_text())
    found = record["findings"]

    settings = list(dict.fromkeys(one["setting"] for one in found))
    assert settings == ["before training", "lambda2=0.0", "lambda2=0.01", "lambda2=50.0"]
    assert record["params"]["lambda2=50.0"]["epochs"] == 4
    where = {(one["quantity"], one["where"]) for one in found}
    assert {("energy gradient", name) for name in ("train", "id", "shaded", "line art", "near", "digits")} <= where
    assert {("hessian distance", "training domains"), ("hessian distance", "test domains")} <= where
    assert {("accuracy", "line art"), ("auroc", "near")} <= where

    def gradient(setting):
        of = [one["value"] for one in found if one["setting"] == setting and one["quantity"] == "energy gradient"]
        return statistics.fmean(of)

    assert gradient("lambda2=50.0") < gradient("lambda2=0.0"), "what the term is there to lower"
    page = (folder / "croft.md").read_text()
    assert page.strip() == out.strip()
    for text in ("before training", "Hessian distance, test", "rank correlation over the 3 fitted settings"):
        assert text in page
    assert (folder / "croft.png").read_bytes().startswith(b"\x89PNG")


def test_the_frozen_model_is_the_same_whatever_is_swept(croftbench, suite_file, tmp_path):
    records = []
    for grid in ("lambda2=0", "lambda1=3"):
        code, _, err = croftbench("diagnose", "--suite", suite_file, "--set", "epochs=1", "--sweep", grid)
        assert code == 0, err
        record = json.loads((tmp_path / "results/diagnosis/food/croft.json").read_text())
        records.append([one for one in record["findings"] if one["setting"] == "before training"])
        assert "rank correlation" not in diagnosis.to_markdown(record), "one setting has no correlation"
    assert records[0] == records[1]


def test_a_sweep_that_is_not_one_is_refused_in_a_line(croftbench, suite_file):
    code, _, err = croftbench("diagnose", "croft", "--suite", suite_file, "--sweep", "lambda=1,2")
    assert code == 2
    assert "lambda1" in err or "lambda2" in err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1


def test_a_method_that_learns_nothing_is_refused_in_a_line(croftbench, suite_file):
    code, out, err = croftbench("diagnose", "zero-shot", "--suite", suite_file)
    assert (code, out) == (2, "")
    assert err == "error: zero-shot learns nothing that could be diagnosed. Name a method that trains: croft.\n"


def test_another_recipe_than_the_suites_own(croftbench, suite_file, tmp_path):
    arguments = ["diagnose", "clip-adapter", "--suite", suite_file, "--set", "epochs=1", "--seeds", "1"]
    code, _, err = croftbench(*arguments, "--recipe", "authors")
    assert code == 0, err
    record = json.loads((tmp_path / "results/diagnosis/food/clip-adapter.json").read_text())
    (params,) = record["params"].values()
    own = at_shots(CLIPAdapter.recipes["authors"], 3)
    assert {name: params[name] for name in own if name != "epochs"} == {n: v for n, v in own.items() if n != "epochs"}
    code, _, err = croftbench(*arguments, "--recipe", "theirs")
    assert code == 2
    assert "theirs" in err


DIES = """
import os
from dataclasses import dataclass
from typing import ClassVar

from croftbench.method import Needs, Outputs
from croftbench.training import unit


@dataclass(frozen=True)
class Dies:
    needs: ClassVar[Needs] = Needs()
    a: float = 1.0

    def fit(self, task):
        if self.a > 2:
            os.abort()
        text = unit(task.text)
        return lambda f: Outputs(task.logit_scale * unit(f) @ text.T, unit(f), text)
"""


@pytest.mark.parametrize(("verb", "option"), [("tune", "--grid"), ("diagnose", "--sweep")])
def test_a_study_survives_what_kills_a_process_and_is_not_repeated(croftbench, suite_file, tmp_path, verb, option):
    """Isolated it gives the numbers that it gives in one process; a finished one is found, another's record is kept."""
    path = tmp_path / "dies.py"
    path.write_text(DIES)

    def asked(values, *flags):
        return croftbench(verb, f"{path}:Dies", "-s", suite_file, option, f"a={values}", *flags)

    def numbers(record):
        return [one["value"] for one in record["findings"]] if verb == "diagnose" else [
            (one["accuracy"], one["auroc"]) for one in record["grid"]
        ]  # fmt: skip

    code, _, err = asked("1,3", "--isolate")
    assert code == 1
    assert "a=3.0: its process was ended by SIGABRT, at " in err
    (file,) = (tmp_path / "results").glob("*/food/Dies.json")
    apart = json.loads(file.read_text())
    assert len(apart["failed"]) == 1
    code, _, err = asked("1")
    assert code == 0, err
    (old,) = (tmp_path / "results/trash").glob("*/*/food/Dies.json")
    assert json.loads(old.read_text()) == apart
    assert numbers(json.loads(file.read_text())) == numbers(apart)
    stamp = file.stat().st_mtime_ns
    code, out, err = asked("1")
    assert (code, file.stat().st_mtime_ns) == (0, stamp)
    assert "finished already" in err and out
    assert asked("1", "--force")[0] == 0
    assert file.stat().st_mtime_ns > stamp
