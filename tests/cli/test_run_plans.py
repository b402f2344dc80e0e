"""Before a run, and of few images: `--dry-run`, `--limit`, `--config`, `--quiet`, and several encoders."""

import pytest

from croftbench.runs import results


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(croftbench, suite_file, tmp_path):
    line = ("run", "-s", suite_file, "-m", "zero-shot,croft", "--seeds", "1,2")
    assert croftbench(*line[:4], "zero-shot", "--seeds", "1")[0] == 0
    code, out, err = croftbench(*line, "--dry-run")
    assert code == 0, err
    (done,) = results.read_all(tmp_path / "results")
    assert f"{done.spec.run_id}  food  zero-shot, seed 1, fold all: finished" in out
    assert out.count(": to do") == 3
    assert "3 of 4 runs to do" in out and "images to encode" in out and "about" not in out
    assert len(list(results.read_all(tmp_path / "results"))) == 1
    assert croftbench(*line)[0] == 0
    assert "0 of 4 runs to do, 0 images to encode, about 0 s" in croftbench(*line, "--dry-run")[1]


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
