"""From a cell to its run, from a run to its command, and from the command to the same numbers."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

import croftbench as package
from croftbench.runs import results

MINE = '''"""Zero-shot CLIP with a temperature."""
from dataclasses import dataclass
from typing import ClassVar

from croftbench.method import Needs, Outputs
from croftbench.training import unit


@dataclass(frozen=True)
class Mine:
    needs: ClassVar[Needs] = Needs()
    t: float = 1.0

    def fit(self, task):
        text = unit(task.text)
        return lambda f: Outputs(self.t * task.logit_scale * unit(f) @ text.T, unit(f))
'''


@pytest.fixture
def ran(croftbench, suite_file, tmp_path, monkeypatch):
    """Three runs of different kinds, and their folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    for line in ("-m zero-shot", "-m ./mine.py:Mine --set t=0.5", "-m croft --set lambda2=0.5 --shots 1 --views 1"):
        code, _, err = croftbench("run", "-s", suite_file, *line.split())
        assert code == 0, err
    return tmp_path / "results"


def by_method(folder):
    return {run.spec.method: run for run in results.read_all(folder)}


def test_every_format_of_tables_leads_to_the_runs(croftbench, ran):
    ids = {run.spec.run_id for run in by_method(ran).values()}
    for form in ("csv", "json", "md", "latex", "html"):
        _, out, _ = croftbench("leaderboard", "food", "--format", form)
        assert ids <= set(re.findall(r"\b[0-9a-f]{12}\b", out)), form
    for name in ("food.csv", "food-scores.csv", "food.md"):
        assert ids <= set(re.findall(r"\b[0-9a-f]{12}\b", (ran / "leaderboards" / name).read_text())), name
    row = next(
        one for one in json.loads(croftbench("leaderboard", "food", "--format", "json")[1])["leaderboards"][0]["rows"]
    )
    assert croftbench("show", row["run_ids"][0])[0] == 0


def test_show_prints_the_command_that_makes_the_run(croftbench, ran, tmp_path):
    for run in by_method(ran).values():
        _, out, _ = croftbench("show", run.spec.run_id)
        (line,) = re.findall(r"^again: croftbench (.*)", out, re.M)
        code, _, err = croftbench(
            *shlex.split(line), "--results", tmp_path / "other", "--manifests", ran / "suites/food.toml"
        )
        assert code == 0, err
    again = by_method(tmp_path / "other")
    assert {run.spec.run_id for run in again.values()} == {run.spec.run_id for run in by_method(ran).values()}
    assert "--set lambda2=0.5" in croftbench("show", again["croft"].spec.run_id)[1]
    assert package.command_of(by_method(ran)["zero-shot"], results=ran) == (
        "croftbench run --suite food --method zero-shot --seeds 1"
    )


def test_a_run_is_reproduced_to_the_last_digit_or_the_numbers_are_named(croftbench, ran, made):
    for run in by_method(ran).values():
        code, out, err = croftbench("reproduce", run.spec.run_id[:8])
        assert code == 0, err
        assert f"{run.spec.run_id}: reproduced, {5 * len(run.scores)} numbers" in out
    run = by_method(ran)["zero-shot"]
    path = results.path_of(ran, run.spec)
    other = results.replace(
        run, scores=(results.replace(run.scores[0], value=run.scores[0].value / 2), *run.scores[1:])
    )
    path.unlink()
    results.write(ran, other)
    code, out, err = croftbench("reproduce", run.spec.run_id)
    assert code == 1
    assert f"1 of {5 * len(run.scores)} numbers differ." in err
    path.unlink()
    results.write(ran, results.replace(other, env=other.env | {"device_name": "x86_64 ABACUS"}))
    _, _, err = croftbench("reproduce", run.spec.run_id)
    assert "numbers differ (made on x86_64 ABACUS, this is" in err
    assert "accuracy of id id: value" in out and f"{run.scores[0].value:.12g}" in out
    assert croftbench("reproduce", run.spec.run_id, "--within", "60")[0] == 0


def test_what_cannot_be_repeated_says_why(croftbench, ran, tmp_path):
    run = by_method(ran)["Mine"]
    Path("mine.py").write_text(MINE + "# edited\n")
    code, _, err = croftbench("reproduce", run.spec.run_id)
    assert code == 1
    assert f"source: {run.spec.source}, now " in err
    shutil.move("mine.py", "moved.py")
    code, _, err = croftbench("reproduce", run.spec.run_id)
    assert code == 2 and "whose file is not at ./mine.py:Mine" in err
    assert "--set t=0.5" in croftbench("show", run.spec.run_id)[1]
    assert croftbench("reproduce", "ffffffff")[0] == 2
