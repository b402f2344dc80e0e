"""Before a run, and of few images: `--dry-run`, `--limit`, `--config`, `--quiet`, and several encoders."""

import re
from dataclasses import replace

import pytest
import torch

import croftbench as package
from croftbench import draw, plugins
from croftbench.api.plans import identity_of
from croftbench.draw.draws import Draws
from croftbench.encoders import rates
from croftbench.encoders.identity import EMBEDDED
from croftbench.progress import Silent
from croftbench.runs import planning, results
from croftbench.runs.results import RunResult
from croftbench.suites import manifest


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(croftbench, suite_file, tmp_path, cache):
    line = ("run", "-s", suite_file, "-m", "zero-shot,croft", "--seeds", "1,2")
    assert croftbench(*line[:4], "zero-shot", "--seeds", "1")[0] == 0
    code, out, err = croftbench(*line, "--dry-run")
    assert code == 0, err
    (done,) = results.read_all(tmp_path / "results")
    assert f"{done.spec.run_id}  food  zero-shot, seed 1, fold all: finished" in out
    assert out.count(": to do") == 3
    assert "3 of 4 runs to do" in out and "images to encode" in out
    assert "runs, one after the other: time unknown." in out
    assert "croft, 2 runs: time unknown, no finished run of it to go by." in out
    assert re.search(r"zero-shot, 1 run: about \d+ s, 1 finished run of it, on cpu ", out)
    assert f"{identity_of(EMBEDDED, cache, Silent()).size / 1e6:,.1f} MB of weights (their file)" in out
    assert len(list(results.read_all(tmp_path / "results"))) == 1
    assert croftbench(*line)[0] == 0
    told = croftbench(*line, "--dry-run")[1]
    assert told.rstrip().endswith("0 of 4 runs to do, 0 images to encode.")


def test_times_are_those_of_finished_runs_and_scaled_as_it_says(croftbench, suite_file, tmp_path, cache):
    """By hand: 2 s in 10 epochs are 3 s in 15; what another encoder's tower took says nothing."""
    folder = tmp_path / "results"
    suite = manifest.suite(str(suite_file))
    spec = planned(suite, "croft", cache)
    for seed, fit in ((1, 1.0), (2, 3.0)):
        record(folder, replace(spec, seed=seed, params={**spec.params, "epochs": 10}), fit=fit, score=0.5)
    line = ("run", "-s", suite_file, "--seeds", "3,4", "--dry-run")

    def told(*more):
        code, out, err = croftbench(*line, *more)
        assert code == 0, err
        return next(line for line in out.splitlines() if " 2 runs: " in line)

    assert "croft, 2 runs: about 5 s, 2 finished runs of it, on cpu x." in told("-m", "croft", "--set", "epochs=10")
    scaled = told("-m", "croft", "--set", "epochs=15")
    assert "about 7 s, 2 finished runs of it with other settings, scaled by shots x epochs, on cpu x." in scaled
    coop = planned(manifest.suite("emoji-open"), "coop", cache)
    record(folder, replace(coop, encoder="ViT-B-16/openai"), fit=100.0, score=1.0)  # its text tower's steps cost more
    assert "time unknown, no finished run of it to go by" in told("-m", "coop")
    assert "time unknown, no finished run of it to go by" in told("-m", "tip-adapter")


def test_the_shipped_suite_stands_in_where_a_method_has_not_run(croftbench, suite_file, tmp_path, cache):
    folder, suite = tmp_path / "results", manifest.suite("emoji-open")
    spec = planned(suite, "croft", cache)
    record(folder, spec, fit=2.0, score=0.4)
    (theirs,), (ours,) = draw.folds(suite, 1), draw.folds(manifest.suite(str(suite_file)), 3)
    epochs = planned(manifest.suite(str(suite_file)), "croft", cache).params["epochs"] / spec.params["epochs"]
    fit = 2.0 * epochs * len(ours.train) / len(theirs.train)
    seconds = fit + 0.4 * images(ours) / images(theirs)
    forecast = package.forecast("croft", suite_file, seeds=[3], results=folder, cache=cache)
    assert forecast.seconds == pytest.approx(seconds, rel=1e-9)
    assert forecast.runs[0].cost.how.startswith("1 finished run of it on emoji-open, scaled by epochs and images")


def test_the_rate_of_encoding_is_what_was_measured_and_else_unknown(croftbench, suite_file, tmp_path):
    line = ("run", "-s", suite_file, "-m", "zero-shot", "--cache", tmp_path / "cache", "--dry-run")
    assert (
        "Encoding: time unknown: this encoder has encoded nothing here yet; texts not counted." in croftbench(*line)[1]
    )
    of = identity_of(EMBEDDED, tmp_path / "cache", Silent())
    rates.note(tmp_path / "cache", of, 1000, 10.0, torch.device("cpu"))
    rates.note(tmp_path / "cache", of, 3, 10.0, torch.device("cpu"))  # too few to say anything
    forecast = package.forecast("zero-shot", suite_file, results=tmp_path / "results", cache=tmp_path / "cache")
    assert forecast.encoding == pytest.approx(forecast.images / 100)
    assert "(100 images/s, as measured on cpu " in croftbench(*line)[1]


def planned(suite, method, cache):
    """What a run of the suite's first seed would be."""
    of, info = identity_of(EMBEDDED, cache, Silent()), plugins.describe(method, cache)
    return planning.plan(suite, info, of, Draws(suite).content)[0].spec


def record(folder, spec, fit, score):
    env = {"device": "cpu", "device_name": "x"}
    timings = {"features": 100.0, "fit": fit, "score": score}
    results.write(folder, RunResult(spec, (), env, timings, "2026-01-01T00:00:00+00:00"))


def images(fold):
    return sum(len(split) for _, split in fold.tests)


def test_a_dry_run_tells_why_a_run_failed_before(croftbench, suite_file):
    line = ("run", "-s", suite_file, "-m", "croft", "--set", "lr=1e30", "--set", "warmup_lr=1e30")
    assert croftbench(*line)[0] == 1
    assert "to do, failed: the loss is" in croftbench(*line, "--dry-run")[1]


def test_a_smoke_run_is_small_marked_never_ranked_and_apart(croftbench, suite_file, tmp_path):
    line = ("run", "-s", suite_file, "-m", "zero-shot,tip-adapter")
    code, out, err = croftbench(*line, "--limit", "7")
    assert code == 0, err
    assert "SMOKE RUN of 7 images a split" in out
    folder = tmp_path / "results"
    small = list(results.read_all(folder / "smoke"))
    assert len(small) == 2
    assert all(max(s.n_id, s.n_ood) <= 7 for run in small for s in run.scores)
    assert not (folder / "runs").exists() and not (folder / "leaderboards").exists()
    assert not list((folder / "smoke").glob("leaderboards/*"))
    assert croftbench(*line)[0] == 0
    assert {run.spec.run_id for run in small}.isdisjoint(run.spec.run_id for run in results.read_all(folder))
    table = (folder / "leaderboards/food.csv").read_text()
    assert not any(run.spec.run_id in table for run in small)


def test_a_smoke_board_ranks_nothing(cache, suite_file, tmp_path):
    import croftbench

    board = croftbench.run(["zero-shot", "tip-adapter"], suite_file, limit=5, results=tmp_path, cache=cache)
    assert not board.wide["ranked"].any()


def test_an_experiment_is_a_file_that_the_command_line_overrides(croftbench, suite_file, tmp_path):
    line = ("run", "-s", suite_file, "-m", "croft", "--set", "epochs=1", "--seeds", "4,5", "--limit", "9")
    code, shown, _ = croftbench(*line, "--show-config")
    assert code == 0
    path = tmp_path / "mine.toml"
    path.write_text(shown)
    code, _, err = croftbench("run", "--config", path, "--seeds", "6")
    assert code == 0, err
    (run,) = results.read_all(tmp_path / "results/smoke")
    assert (run.spec.method, run.spec.seed, run.spec.params["epochs"]) == ("croft", 6, 1)
    assert croftbench("run", "--config", path, "--show-config")[1] == shown
    path.write_text(f'method = ["zero-shot"]\nsuite = "{suite_file}"\nseeds = [7]\nset = {{}}\nlimit = 5\n')
    assert croftbench("run", "--config", path)[0] == 0


@pytest.mark.parametrize(
    ("text", "says"), [("sedes = 1", "Did you mean 'seeds'"), ("seeds = ", "cannot be read"), (None, "cannot be read")]
)
def test_a_wrong_file_of_options_is_one_line(croftbench, tmp_path, text, says):
    path = tmp_path / "mine.toml"
    if text:
        path.write_text(text)
    code, _, err = croftbench("run", "--config", path)
    assert code == 2 and says in err and "Traceback" not in err


def test_quiet_prints_the_table_and_nothing_else(croftbench, suite_file):
    code, out, err = croftbench("run", "-s", suite_file, "-m", "zero-shot", "--quiet")
    assert (code, err) == (0, "")
    assert "zero-shot" in out
    assert "Did you mean" in croftbench("run", "-s", suite_file, "-m", "zero-shto", "--quiet")[2]


def test_several_encoders_are_taken_in_turn(croftbench, suite_file, tmp_path):
    code, _, err = croftbench("run", "-s", suite_file, "-m", "zero-shot", "-e", "emoji-clip/croftbench,ViT-B-61/openai")
    assert code == 2
    assert "ViT-B-61/openai" in err
    assert len(list(results.read_all(tmp_path / "results"))) == 1, "the first one ran"
