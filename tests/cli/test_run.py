"""`croftbench run` as a user meets it: results, repeats, one's own methods, and everything that can go wrong."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from croftbench.runs import per_image, results

COMMAND = [sys.executable, "-c", "from croftbench.cli import main; main()"]


def error_line(stderr):
    lines = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    return lines[0]


def test_three_methods_one_table_and_nothing_run_twice(croftbench, suite_file, tmp_path):
    code, out, err = croftbench("run", "--suite", suite_file, "--method", "zero-shot,coop,croft")
    assert code == 0, err
    for name in ("zero-shot", "coop", "croft", "Acc ↑", "FPR95 ↓", "AUROC ↑", "line art", "cov."):
        assert name in out
    folder = tmp_path / "results"
    runs = list(results.read_all(folder, "food"))
    assert {run.spec.method for run in runs} == {"zero-shot", "coop", "croft"}
    croft = next(run for run in runs if run.spec.method == "croft")
    assert croft.spec.params["lambda2"] == 0.001, "the suite's recipe"
    assert croft.spec.params["ratio"] == 0.2, "the method's default"
    detection = {"auroc", "fpr95", "fpr95_ood_positive", "aupr", "aupr_out", "ties"}
    assert {s.metric for s in croft.scores} == {"accuracy", "ece", "aurc"} | detection
    assert all(0 <= s.low <= s.value <= s.high <= 1 for s in croft.scores)
    assert (folder / "leaderboards/food.csv").exists()
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")}
    code, out, err = croftbench("run", "--suite", suite_file, "--method", "zero-shot,coop,croft")
    assert code == 0
    assert "3 of 3 runs are finished already" in err
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")}


def test_another_recipe_is_recorded_and_marked_in_the_table(croftbench, suite_file, tmp_path):
    code, out, err = croftbench("run", "-s", suite_file, "-m", "tip-adapter-f,zero-shot", "--recipe", "authors")
    assert code == 0, err
    table = (tmp_path / "results/leaderboards").glob("*.md")
    assert any("tip-adapter-f, recipe=authors" in path.read_text() for path in table)
    assert "zero-shot (" not in out, "it has nothing to set"
    code, out, err = croftbench("run", "-s", suite_file, "-m", "tip-adapter-f")
    assert code == 0, err
    specs = {run.spec.recipe: run.spec for run in results.read_all(tmp_path / "results") if run.spec.params}
    assert specs["authors"].params["optimiser"] == "adamw"
    assert "optimiser" not in specs["croft-comparison"].params
    table = (tmp_path / "results/leaderboards/food.csv").read_text()
    assert ",authors," in table
    assert '"tip-adapter-f, recipe=authors",' in table
    assert "\ntip-adapter-f," in table, "the suite's own needs no word"


def test_a_recipe_that_a_method_lacks_is_one_line_before_anything_runs(croftbench, suite_file, tmp_path):
    code, _, err = croftbench("run", "-s", suite_file, "-m", "zero-shot", "--recipe", "authrs")
    assert code == 2
    assert "zero-shot has no recipe 'authrs'" in error_line(err)
    assert "authors, croft-comparison" in err
    assert not list(results.read_all(tmp_path / "results"))


def test_scores_are_those_of_the_per_image_table(croftbench, suite_file, tmp_path):
    assert croftbench("run", "--suite", suite_file, "--method", "zero-shot")[0] == 0
    (run,) = results.read_all(tmp_path / "results")
    splits = {s.name: s for s in per_image.read(per_image.path_of(tmp_path / "results", run.spec))}
    for score in run.scores:
        if score.metric == "accuracy":
            assert score.value == splits[score.split].correct.mean()
            assert score.n_id == len(splits[score.split].labels)
    near = next(
        s for s in run.scores if (s.split, s.metric, s.scorer, s.reference) == ("near", "auroc", "energy", "id")
    )
    inside, outside = splits["id"].scores["energy"], splits["near"].scores["energy"]
    pairs = (inside[:, None] > outside).mean() + 0.5 * (inside[:, None] == outside).mean()
    assert near.value == pytest.approx(pairs, abs=1e-12)


def test_a_run_is_reproduced_to_the_bit(croftbench, suite_file, tmp_path):
    values = []
    for name in ("a", "b"):
        folder = tmp_path / name
        code, _, err = croftbench("run", "--suite", suite_file, "--method", "croft", "--results", folder)
        assert code == 0, err
        (run,) = results.read_all(folder)
        values.append([s.value for s in run.scores])
    assert values[0] == values[1]


def test_the_hint_to_the_other_rows_works_as_typed(croftbench, suite_file, tmp_path):
    folder = tmp_path / "else where"
    for method in ("linear-probe", "tip-adapter"):
        code, out, err = croftbench("run", "--suite", suite_file, "--method", method, "--results", folder)
        assert code == 0, err
    typed = re.search(r"And 1 other: `croftbench (.*?)`", " ".join(out.split()))[1]
    assert shlex.split(typed)[-2:] == ["--results", str(folder)]
    code, out, err = croftbench(*shlex.split(typed))
    assert code == 0, err
    assert "linear-probe" in out and "tip-adapter" in out


def test_settings_make_another_run_and_are_recorded(croftbench, suite_file, tmp_path):
    common = ("run", "--suite", suite_file, "--method", "zero-shot,croft", "--set", "lambda2=0", "--seeds", "5")
    code, out, err = croftbench(*common, "--set", "croft.epochs=1")
    assert code == 0, err
    (croft,) = (run for run in results.read_all(tmp_path / "results") if run.spec.method == "croft")
    assert (croft.spec.params["lambda2"], croft.spec.params["epochs"], croft.spec.seed) == (0.0, 1, 5)
    assert "croft" in out


MINE = '''"""Tip-Adapter without training."""
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F

from croftbench.method import Needs, Outputs


@dataclass(frozen=True)
class Tip:
    needs: ClassVar[Needs] = Needs()
    alpha: float = 1.0
    beta: float = 5.5

    def fit(self, task):
        keys = F.normalize(task.train.views.mean(0), dim=1)
        values = F.one_hot(task.train.labels, len(task.classnames)).float()
        text = F.normalize(task.text, dim=1)

        def predict(f):
            z = F.normalize(f, dim=1)
            cache = (-self.beta * (1 - z @ keys.T)).exp() @ values
            return Outputs(task.logit_scale * z @ text.T + self.alpha * cache, z)

        return predict
'''


def test_a_method_of_ones_own_file(croftbench, suite_file, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(MINE)
    code, out, err = croftbench("run", "--suite", suite_file, "--method", f"zero-shot,{mine}:Tip", "--set", "alpha=2")
    assert code == 0, err
    assert "Tip" in out
    (run,) = (run for run in results.read_all(tmp_path / "results") if run.spec.method == "Tip")
    assert run.spec.params == {"alpha": 2.0, "beta": 5.5}
    assert run.spec.source


def test_an_installed_package_adds_a_method(cache, suite_file, tmp_path):
    """A real distribution on the path, with nothing but its metadata to announce the method."""
    site = tmp_path / "site"
    (site / "tipadapter-1.0.dist-info").mkdir(parents=True)
    (site / "tipadapter.py").write_text(MINE)
    (site / "tipadapter-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: tipadapter\nVersion: 1.0\n")
    (site / "tipadapter-1.0.dist-info/entry_points.txt").write_text("[croftbench.methods]\ntip = tipadapter:Tip\n")
    environment = {**os.environ, "PYTHONPATH": str(site), "CROFTBENCH_CACHE": str(cache)}
    environment["CROFTBENCH_RESULTS"] = str(tmp_path / "results")
    listed = subprocess.run([*COMMAND, "list", "methods"], env=environment, capture_output=True, text=True, check=True)
    assert "tip" in listed.stdout
    command = [*COMMAND, "run", "--suite", suite_file, "--method", "tip"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = results.read_all(tmp_path / "results")
    assert run.spec.method == "tip"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "crotf"], "Did you mean 'croft'"),
        (["--method", "croft", "--suite", "emoji-opne"], "Did you mean 'emoji-open'"),
        (["--method", "croft", "--set", "lamda2=1"], "Did you mean 'lambda2'"),
        (["--method", "croft", "--set", "lambda2=big"], "is of type float"),
        (["--method", "croft", "--set", "variant=oficial"], "Did you mean 'official'"),
        (["--method", "croft", "--set", "lambda2"], "not of the form name=value"),
        (["--method", "croft", "--encoder", "ViT-B-61/openai"], "Did you mean"),
        (["--method", "croft", "--encoder", "ViT-B-16@nowhere.safetensors"], "nowhere.safetensors"),
        (["--method", "croft", "--seeds", "one"], "--seeds one"),
        (["--method", "croft", "--seeds", "-1"], "-1 is no seed"),
        (["--method", "croft", "--seeds", "4294967295"], "4294967295 is no seed"),
        (["--method", "croft", "--seeds", "1,2,1"], "seed 1 is given twice"),
        (["--method", "croft", "--seeds", "0,0"], "seed 0 is given twice"),
        (["--method", "croft", "--set", "lr=-1"], "croft's lr must be > 0, not -1.0"),
        (["--method", "coop,croft", "--set", "epochs=0"], "epochs must be >= 1, not 0"),
        (["--method", "croft", "--set", "batch=0"], "croft's batch must be >= 1, not 0"),
        (["--method", "croft", "--set", "momentum=1"], "croft's momentum must be >= 0, < 1, not 1.0"),
        (["--method", "croft", "--set", "lr=1", "--set", "lr=2"], "--set lr is given twice, as 1 and as 2"),
        (["--method", "coop", "--set", "n_ctx=0"], "coop refuses its hyper-parameters: n_ctx must be 1 or more"),
        (["--method", "croft", "--device", "gpu"], "device"),
        (["--method", ""], "empty list"),
        (["--method", "croft", "--shots", "0"], "--shots"),
        (["--method", "croft", "--sho", "1"], "--sho"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(croftbench, arguments, says):
    code, out, err = croftbench("run", *arguments)
    assert says in error_line(err)
    assert out == ""
    assert code in (1, 2) if "nowhere" in says else code == 2


def test_a_grid_names_each_value_list_once(croftbench):
    code, _, err = croftbench("tune", "croft", "--grid", "lr=0.1", "--grid", "lr=0.2")
    assert code == 2
    assert "--grid lr is given twice" in error_line(err)


def test_more_shots_than_there_are_is_said_and_shown(croftbench, suite_file, tmp_path):
    """Each class has one image in each of two training splits."""
    few = ("--method", "linear-probe", "--shots", "1000", "--seeds", "1,2")
    code, out, err = croftbench("run", "--suite", suite_file, *few)
    assert code == 0, err
    assert err.count("food: 1000 shots were asked for; a class has 2 training images.") == 1
    assert {str(run.env["shots"]) for run in results.read_all(tmp_path / "results")} == {"{'fewest': 2, 'most': 2}"}
    assert "linear-probe (2 of 1000 shots)" in out
    code, out, err = croftbench("run", "--suite", suite_file, "--method", "linear-probe", "--shots", "1")
    assert "shots were asked for" not in err
    assert "of 1 shots" not in out


def test_a_setting_for_one_method_counts_more_than_one_for_all(croftbench, suite_file, tmp_path):
    settings = ("--set", "croft.lambda2=0.5", "--set", "lambda2=0", "--set", "epochs=1")
    assert croftbench("run", "--suite", suite_file, "--method", "croft", "--seeds", "1", *settings)[0] == 0
    (run,) = results.read_all(tmp_path / "results")
    assert run.spec.params["lambda2"] == 0.5


def test_a_loss_that_is_not_finite_stops_only_that_method(croftbench, suite_file, tmp_path):
    settings = ("--set", "croft.lr=1e30", "--set", "croft.warmup_lr=1e30")
    code, out, err = croftbench("run", "--suite", suite_file, "--method", "croft,zero-shot", *settings)
    assert code == 1
    first, last = (line for line in err.splitlines() if line.startswith("error:"))
    assert "croft, seed 1, fold all: " in first
    assert "lr=" in first
    assert "1 run(s) failed" in last
    assert [run.spec.method for run in results.read_all(tmp_path / "results")] == ["zero-shot"]
    assert "zero-shot" in out


def test_results_that_cannot_be_written_are_one_line(croftbench, suite_file, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = croftbench("run", "--suite", suite_file, "--method", "zero-shot", "--results", tmp_path / "file")
    assert code == 1
    assert "cannot write" in error_line(err)
    assert "--results" in err


def test_a_full_disk_leaves_nothing_half_written(cache, suite_file, tmp_path):
    """A file-size limit stands in for the full disk: the write fails half-way, as it would there."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); import signal; "
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from croftbench.cli import main; main()"
    environment = {**os.environ, "CROFTBENCH_CACHE": str(cache), "CROFTBENCH_RESULTS": str(tmp_path / "results")}
    warm = [*COMMAND, "run", "--suite", suite_file, "--method", "zero-shot", "--results", str(tmp_path / "warm")]
    assert subprocess.run(warm, env=environment, capture_output=True, check=False).returncode == 0
    command = [sys.executable, "-c", limited, "run", "--suite", str(suite_file), "--method", "zero-shot"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot write" in error_line(done.stderr)
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]


def test_interrupting_keeps_what_is_finished(cache, suite_file, tmp_path):
    folder = tmp_path / "results"
    environment = {**os.environ, "CROFTBENCH_CACHE": str(cache), "CROFTBENCH_RESULTS": str(folder)}
    command = [*COMMAND, "run", "--suite", suite_file, "--method", "zero-shot,croft", "--set", "epochs=100000"]
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell hands down "ignore"
    )  # fmt: skip
    for _ in range(1200):
        if list(folder.glob("runs/food/zero-shot/*.json")):
            break
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in error_line(err)
    assert len(list(results.read_all(folder))) == 1
    assert not list(folder.rglob("*.tmp"))


def test_a_finished_run_answers_without_torch(croftbench, cache, suite_file, tmp_path):
    assert croftbench("run", "--suite", suite_file, "--method", "croft")[0] == 0
    script = (
        "import sys\nfrom croftbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print('loaded', 'torch' in sys.modules, stop.code)\n"
    )
    environment = {**os.environ, "CROFTBENCH_RESULTS": str(tmp_path / "results")}
    command = [sys.executable, "-c", script, "run", "--suite", str(suite_file), "--method", "croft"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "loaded False 0" in done.stdout


def test_a_warm_run_never_loads_clip(croftbench, suite_file, tmp_path):
    assert croftbench("run", "--suite", suite_file, "--method", "zero-shot,croft")[0] == 0
    script = (
        "import sys\nfrom croftbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print('loaded', 'open_clip' in sys.modules, stop.code)\n"
    )
    environment = {**os.environ, "CROFTBENCH_RESULTS": str(tmp_path / "other")}
    command = [
        sys.executable,
        "-c",
        script,
        "run",
        "--suite",
        str(suite_file),
        "--method",
        "croft",
        "--set",
        "lambda1=2",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "loaded False 0" in done.stdout


def test_show_finds_a_run_by_its_first_digits(croftbench, suite_file, tmp_path):
    assert croftbench("run", "--suite", suite_file, "--method", "zero-shot")[0] == 0
    (path,) = (tmp_path / "results/runs").rglob("*.json")
    code, out, _ = croftbench("show", path.stem[:6])
    assert code == 0
    assert "zero-shot on food" in out
    assert "environment: croftbench=" in out
    code, out, _ = croftbench("show", path.stem, "--json")
    stored = json.loads(Path(path).read_text())
    assert json.loads(out) == {name: value for name, value in stored.items() if name != "digest"}
    assert croftbench("show", "zzz")[0] == 2


def test_show_has_every_number_whole_below_its_images_at_80_characters(croftbench, suite_file, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert croftbench("run", "--suite", suite_file, "--method", "zero-shot")[0] == 0
    (path,) = (tmp_path / "results/runs").rglob("*.json")
    shown, images = [], ""
    for line in croftbench("show", path.stem)[1].splitlines():
        images = line if " images" in line else images
        if " to " in line:
            shown.append((line.split()[0], images.split(" (")[0].split(":")[0], line.split()[-4:]))
    for score, (metric, split, numbers) in zip(json.loads(path.read_text())["scores"], shown, strict=True):
        assert (metric, split) == (score["metric"], score["split"])
        value, low, high = (f"{100 * score[name]:.2f}" for name in ("value", "low", "high"))
        assert numbers == [value, low, "to", high]


def test_tuning_uses_a_grid_and_records_its_choice(croftbench, suite_file, tmp_path):
    code, out, err = croftbench(
        "tune", "croft", "--suite", suite_file, "--grid", "lambda2=0,0.001", "--grid", "epochs=1,2"
    )
    assert code == 0, err
    record = json.loads((tmp_path / "results/tuning/food/croft.json").read_text())
    assert [cell["params"] for cell in record["grid"]] == [
        {"lambda2": a, "epochs": b} for a in (0.0, 0.001) for b in (1, 2)
    ]
    best = max(record["grid"], key=lambda cell: cell["objective"])
    assert record["choice"] == best["params"]
    assert record["runs"] == 4 * 2
    assert "objective" in out
