"""`croftbench diagnose`: the paper's claim, measured, from the command line to its table and picture."""

import json
import statistics

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
