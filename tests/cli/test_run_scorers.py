"""`croftbench run --scorers`: more scores of finished runs, and nothing is trained twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from croftbench import cli, scorers
from croftbench.runs import posthoc, results

MINE = '''"""A method that says when it is fitted.

Mine and Mine Alone, Journal of Examples 2024.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch.nn.functional as F

from croftbench.method import Needs, Outputs


@dataclass(frozen=True)
class Mine:
    needs: ClassVar[Needs] = Needs(transductive=True)
    log: str = ""
    shift: float = 0.0

    def fit(self, task):
        with Path(self.log).open("a") as file:
            file.write("fitted\\n")
        text = F.normalize(task.text, dim=1)

        def predict(f):
            with Path(self.log).open("a") as file:
                file.write(f"saw {len(f)}\\n")
            z = F.normalize(f, dim=1)
            cosines = z @ text.T
            return Outputs(task.logit_scale * cosines + self.shift, z, None, {"least": -cosines.amin(1)})

        return predict
'''


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def croftbench(monkeypatch, capsys, cache, folder, suite_file):
    """`croftbench(...)`: run on the food suite in this process: (exit code, stdout, stderr)."""

    def call(*arguments, verb="run"):
        asked = ["--suite", suite_file] if verb == "run" else []
        monkeypatch.setattr(sys, "argv", ["croftbench", verb, *map(str, [*asked, *arguments])])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    monkeypatch.setenv("CROFTBENCH_CACHE", str(cache))
    monkeypatch.setenv("CROFTBENCH_RESULTS", str(folder))
    monkeypatch.setenv("COLUMNS", "100")
    return call


@pytest.fixture
def mine(tmp_path):
    """The user's method, and the file in which it says what it does."""
    path, log = tmp_path / "mine.py", tmp_path / "log"
    path.write_text(MINE)
    return ("--method", f"{path}:Mine", "--set", f"log={log}"), log


def record(folder, method="Mine"):
    (run,) = (run for run in results.read_all(folder) if run.spec.method == method)
    return run, posthoc.read(folder, run.spec)


def test_a_finished_run_is_scored_without_being_fitted_again(croftbench, mine, folder):
    arguments, log = mine
    assert croftbench(*arguments)[0] == 0
    path = next(folder.rglob("runs/**/*.json"))
    before, stamp = log.read_text(), path.read_bytes()
    assert before.count("fitted") == 1
    code, out, err = croftbench(*arguments, "--scorers", "all")
    assert code == 0, err
    assert log.read_text() == before, "neither fitted nor asked again"
    assert path.read_bytes() == stamp, "a run is written once"
    _, found = record(folder)
    own = ["energy", "msp"]
    assert [one.label for one in found.scorers] == ["least", *(n for n in scorers.ALL if n not in own)]
    assert (found.environments[0]["outputs"], found.environments[0]["agrees"]) == ("kept", True)
    for one in found.scorers:
        if not one.not_applicable:
            assert {s.metric for s in one.scores} == {
                "auroc",
                "fpr95",
                "fpr95_ood_positive",
                "aupr",
                "aupr_out",
                "ties",
            }
            assert {(s.split, s.reference, s.scorer) for s in one.scores} == {
                ("near", "id", one.label), ("digits", "id", one.label),
            }  # fmt: skip
            assert all(0 <= s.low <= s.value <= s.high <= 1 for s in one.scores)
    assert next(one for one in found.scorers if one.scorer == "knn").params == {"k": 50}
    assert "max_cosine" in out
    assert "n/a [1]" in out
    assert "[1] Not applicable: its logits are not scaled cosines" in " ".join(out.split())
    assert "Mine (transductive)" in out


def test_scores_that_are_there_are_found_and_others_join(croftbench, mine, folder):
    arguments, log = mine
    assert croftbench(*arguments, "--scorers", "knn:k=3,entropy")[0] == 0
    run, first = record(folder)
    assert [one.label for one in first.scorers] == ["least", "knn:k=3", "entropy"]
    path = posthoc.path_of(folder, run.spec)
    stamp = path.stat().st_mtime_ns
    assert croftbench(*arguments, "--scorers", "entropy,energy")[0] == 0
    assert path.stat().st_mtime_ns == stamp, "the suite's own scores and old ones are not computed again"
    assert croftbench(*arguments, "--scorers", "entropy,knn:k=1")[0] == 0
    _, both = record(folder)
    assert [one.label for one in both.scorers] == ["knn:k=3", "entropy", "least", "knn:k=1"]
    assert log.read_text().count("fitted") == 1
    values = {one.label: [s.value for s in one.scores] for one in first.scorers}
    assert values == {one.label: [s.value for s in one.scores] for one in both.scorers if one.label in values}


def test_when_outputs_are_gone_the_method_is_fitted_again_and_it_says_so(croftbench, mine, folder, cache):
    arguments, log = mine
    assert croftbench(*arguments)[0] == 0
    run, _ = record(folder)
    shutil.rmtree(cache / "outputs" / run.spec.run_id)
    code, _, err = croftbench(*arguments, "--scorers", "max_logit")
    assert code == 0, err
    assert "outputs of 1 of 1 runs to score are not in" in " ".join(err.split())
    assert log.read_text().count("fitted") == 2
    _, found = record(folder)
    assert (found.environments[0]["outputs"], found.environments[0]["agrees"]) == ("fitted again", True)
    (cache / "outputs" / run.spec.run_id / "0-logits.npy").write_bytes(b"damaged")
    assert croftbench(*arguments, "--scorers", "margin")[0] == 0
    assert log.read_text().count("fitted") == 3
    assert croftbench(*arguments, "--scorers", "mcm")[0] == 0
    assert log.read_text().count("fitted") == 3


def test_outputs_of_another_run_are_not_taken_for_this_ones(croftbench, mine, folder, cache):
    """Outputs that do not give the run's accuracies are computed anew."""
    arguments, log = mine
    assert croftbench(*arguments)[0] == 0
    run, _ = record(folder)
    kept = cache / "outputs" / run.spec.run_id
    logits = kept / "0-logits.npy"
    logits.write_bytes((kept / "1-logits.npy").read_bytes())
    assert croftbench(*arguments, "--scorers", "margin")[0] == 0
    assert log.read_text().count("fitted") == 2
    assert record(folder)[1].environments[0]["outputs"] == "fitted again"


def test_a_transductive_method_sees_each_split_whole(croftbench, mine, folder, suite_file):
    arguments, log = mine
    assert croftbench(*arguments)[0] == 0
    run, _ = record(folder)
    assert run.needs == {"image": "features", "text": "embeddings", "train": True, "transductive": True}
    sizes = {s.split: s.n_id for s in run.scores if s.metric == "accuracy"}
    sizes |= {s.split: s.n_ood for s in run.scores if s.metric == "auroc"}
    shots = len(log.read_text().splitlines()) - 2 - len(sizes)
    assert shots == 0, "once each, and the training images"
    assert log.read_text().splitlines()[1:-1] == [f"saw {n}" for n in sizes.values()]


def test_the_table_of_scores_is_checked(croftbench, mine, folder, suite_file):
    arguments, _ = mine
    assert croftbench(*arguments, "--scorers", "margin,vim")[0] == 0
    table = pd.read_csv(folder / "leaderboards/food-scores.csv", engine="pyarrow")
    assert table["scorer"].tolist()[-1] == "vim"
    assert set(table["scorer"]) == {"energy", "msp", "margin", "vim", "least"}
    assert set(table["source"]) == {"suite", "post-hoc", "own"}
    run, found = record(folder)
    margin = next(s for one in found.scorers if one.label == "margin" for s in one.scores if s.metric == "auroc")
    row = table[table["scorer"] == "margin"].iloc[0]
    assert row[f"auroc/{margin.split}"] == margin.value
    assert table[table["scorer"] == "vim"]["not_applicable"].item().startswith("its logits")
    assert croftbench(suite_file, "--check", verb="leaderboard")[0] == 0
    posthoc.path_of(folder, run.spec).unlink()
    code, _, err = croftbench(suite_file, "--check", verb="leaderboard")
    assert code == 1
    assert "food-scores.md differ" in err
    assert "food.md" not in err


def test_a_word_list_makes_a_score(croftbench, folder, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\n".join(["tree", "house", "sky", "hand", "red car", "old shoe"]))
    name = f"neglabel:words={words},share=1,groups=2"
    code, _, err = croftbench("--method", "zero-shot", "--scorers", name)
    assert code == 0, err
    _, found = record(folder, "zero-shot")
    assert [one.label for one in found.scorers] == [name]
    assert list(found.scorers[0].files) == ["words"]
    assert found.scorers[0].scores
    code, _, err = croftbench("--method", "zero-shot", "--scorers", f"neglabel:words={words},share=0.3,groups=2")
    assert code == 1
    assert "1 words are mined, fewer than groups=2" in err


def test_a_score_of_a_stream_meets_known_and_unknown_images_together(croftbench, mine, folder, suite_file, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\n".join(f"word {i}" for i in range(40)))
    names = [f"adaneg:words={words},share=0.5,groups=4,batch=50", f"tanl:words={words},top=20,batch=50"]
    last = f"{names[0]},order=known-first"
    zero_shot = ("--method", "zero-shot", "--scorers")
    code, out, err = croftbench(*zero_shot, ",".join([*names, last]))
    assert code == 0, err
    run, found = record(folder, "zero-shot")
    for one, order in zip(found.scorers, ["mixed", "mixed", "known-first"], strict=True):
        assert one.stream == {"order": order, "batch": 50, "seed": run.spec.seed}
        assert {(s.split, s.reference) for s in one.scores} == {("near", "id"), ("digits", "id")}
        assert all(s.n_id > 0 < s.n_ood for s in one.scores), "the proportion is that of the suite"
    values = [[s.value for s in one.scores] for one in found.scorers]
    assert values[0] != values[2], "the order is part of the score"
    assert "batch=50 (stream)" in "".join(out.split("\n")) or "(stream)" in out
    assert "shuffled by the run's seed (known-first, batch 50; mixed, batch 50)" in " ".join(out.split())
    posthoc.path_of(folder, run.spec).unlink()
    assert croftbench(*zero_shot, ",".join([last, *names]))[0] == 0
    again = {one.label: [s.value for s in one.scores] for one in record(folder, "zero-shot")[1].scorers}
    assert again == dict(zip([one.label for one in found.scorers], values, strict=True)), "whatever was scored before"
    assert croftbench(*mine[0], "--scorers", names[0])[0] == 0
    assert "not scaled cosines" in record(folder)[1].scorers[-1].not_applicable
    code, _, err = croftbench("zero-shot", "Mine", "-s", suite_file, "--scorer", names[0], verb="compare")
    assert code == 2
    assert "is a score of a stream: an image has no value of it by itself" in err


def test_a_suite_cannot_have_a_score_of_a_stream(croftbench, suite_file, folder):
    suite_file.write_text(suite_file.read_text().replace('["energy", "msp"]', '["energy", "adaneg"]'))
    code, _, err = croftbench("--method", "zero-shot")
    assert code == 2
    assert "adaneg is a score of a stream" in err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("knm", "Did you mean 'knn'"),
        ("knn:k=many", "of type int"),
        ("neglabel:words=nowhere.txt", "cannot read nowhere.txt"),
        (",", "empty list"),
    ],
)
def test_a_wrong_name_is_one_line_before_anything_runs(croftbench, folder, names, says):
    code, _, err = croftbench("--method", "zero-shot", "--scorers", names)
    assert code in (1, 2)
    assert says in err
    assert len(err.splitlines()) == 1
    assert not folder.exists()


def test_a_suite_that_asks_for_what_has_no_meaning_is_told(croftbench, mine, suite_file):
    suite_file.write_text(suite_file.read_text().replace('["energy", "msp"]', '["energy", "vim"]'))
    code, _, err = croftbench(*mine[0])
    assert code == 1
    assert "food asks for a score that is not applicable to Mine: its logits" in err


def test_kept_outputs_are_listed_and_pruned(croftbench, mine, folder, cache):
    assert croftbench(*mine[0])[0] == 0
    run, _ = record(folder)
    lines = croftbench("list", verb="cache")[1].splitlines()
    (line,) = (line for line in lines if line.endswith(run.spec.run_id))
    assert line.startswith("outputs")
    copy = folder / "cache"
    shutil.copytree(cache / "outputs" / run.spec.run_id, copy / "outputs" / run.spec.run_id)
    assert "removed 1 entries" in croftbench("prune", "--days", "0", "--cache", copy, verb="cache")[1]
    assert not list((copy / "outputs").iterdir())


def test_scores_that_are_there_need_no_torch(croftbench, suite_file, folder):
    assert croftbench("--method", "zero-shot", "--scorers", "all")[0] == 0
    script = (
        "import sys\nfrom croftbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print('loaded', 'torch' in sys.modules, stop.code)\n"
    )
    command = [sys.executable, "-c", script, "run", "--suite", str(suite_file), "--method", "zero-shot"]
    done = subprocess.run([*command, "--scorers", "all"], capture_output=True, text=True, check=True)
    assert "loaded False 0" in done.stdout
    listed = croftbench("scorers", "--json", verb="list")[1]
    assert {row["name"] for row in json.loads(listed)} == set(scorers.SCORERS)
