"""The walk of docs/own-score.md, typed; and what a score of one's own may do to others: nothing."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

import croftbench as package
from croftbench.runs import posthoc, results

PAGE = Path(__file__).parents[2] / "docs/own-score.md"
COMMANDS = [
    line for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.S) for line in block.splitlines()
]
HEAD = "from dataclasses import dataclass\nfrom typing import ClassVar\nimport torch\n\n"
SCORE = """@dataclass(frozen=True)
class {name}:
    uses: ClassVar = {uses}
    T: float = 1

    def fit(self, context):
        {fit}
        def score(outputs):
            return {score}
        return score

"""


def write(path, *classes):
    """A file of scores: (name, what is returned, uses, what `fit` does)."""
    told = [(*one, *("", (), "pass")[len(one) - 1 :]) for one in classes]
    path.write_text(HEAD + "".join(SCORE.format(name=n, score=s, uses=u, fit=f) for n, s, u, f in told))
    return path


def records(folder):
    return {run.spec.method: posthoc.read(folder, run.spec) for run in results.read_all(folder)}


def test_every_command_of_the_page_works_in_order(croftbench, suite_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        code, out, err = croftbench(*words, *(["-s", suite_file] if words[0] == "run" else []))
        assert code == 0, f"{line}\n{err}"
        if words[0] == "new":
            assert set(out.splitlines()) <= {*COMMANDS, COMMANDS[-1].replace("energy,", "")}
            assert len((tmp_path / "my_score.py").read_text().splitlines()) < 40
    assert "MyScore:k=1" in out


def test_it_is_what_the_file_says_and_an_edit_is_another_score(croftbench, suite_file, tmp_path):
    """-energy/T restated by a user is energy; edited, it is computed again, and tables never mix the two."""
    path = write(tmp_path / "mine.py", ("Mine", "self.T * (outputs.logits / self.T).logsumexp(1)"))
    asked = ("run", "-s", suite_file, "-m", "zero-shot", "--scorers", f"energy:T=2,{path}:Mine:T=2")
    code, _, err = croftbench(*asked)
    assert code == 0, err
    (record,) = records(tmp_path / "results").values()
    ships, mine = record.scorers
    assert (mine.label, mine.params, set(mine.files)) == ("Mine:T=2", {"T": 2.0}, {"code"})
    assert [s.value for s in mine.scores] == [s.value for s in ships.scores]
    write(path, ("Mine", "outputs.logits.amax(1)"))
    assert croftbench(*asked)[0] == 0
    (again,) = records(tmp_path / "results").values()
    (edited,) = (one for one in again.scorers if one.label == "Mine:T=2")
    assert edited.files != mine.files
    assert [s.value for s in edited.scores] != [s.value for s in mine.scores]
    write(path, ("Mine", "outputs.logits.amin(1)"))
    code, _, err = croftbench("run", "-s", suite_file, "-m", "tip-adapter", "--scorers", f"{path}:Mine:T=2")
    assert code == 0, err
    from croftbench.report import score_table

    table = score_table.board(package.leaderboard(suite_file, results=tmp_path / "results").board).table
    named = {row.method: row.scorer for row in table.itertuples() if row.scorer.startswith("Mine")}
    assert len(set(named.values())) == 2 and all(" @" in label for label in named.values())


def test_what_goes_wrong_stays_with_it_and_names_its_line(croftbench, suite_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path / "mine.py",
        ("Key", "{}['colour']"),
        ("Late", "outputs.logits.amax(1) if len(outputs.logits) == 1 else 1 / 0"),
        ("Fine", "outputs.logits.mul_(0).sum(1) + outputs.features[:, 0]"),
        ("energy", "outputs.logits.amax(1)"),
    )
    names = ",".join(f"./mine.py:{name}" for name in ("Key", "Fine", "Late", "energy"))
    code, _, err = croftbench("run", "-s", suite_file, "-m", "zero-shot", "--scorers", f"{names},max_logit")
    assert code == 1
    assert "zero-shot, seed 1, fold all: KeyError: 'colour', at mine.py:13." in err
    assert re.search(r"ZeroDivisionError: .*, at mine\.py:24\.", err)
    assert "bug" not in err
    (record,) = records(tmp_path / "results").values()
    found = {one.label: one for one in record.scorers}
    assert set(found) == {"Fine", "mine.energy", "max_logit"}
    values = [[s.value for s in found[label].scores] for label in ("mine.energy", "max_logit")]
    assert values[0] == values[1], "a score that writes on what it is given spoils its own copy only"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.py:Mine", "there is no file nowhere.py"),
        ("mine.py", "mine.py names no class. Give: --scorers mine.py:Mine"),
        ("mine.py:Mein", "Did you mean 'Mine'?"),
        ("mine.py:Mine:k=3", "unknown parameter of Mine 'k'"),
        ("mine.py:Mine:T=x", "'x' is not a value for Mine's T"),
        ("mine.py:dataclass", "not a score"),
    ],
)
def test_a_wrong_name_is_one_line_before_anything_runs(croftbench, suite_file, tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine.py", ("Mine", "outputs.logits.amax(1)"))
    code, _, err = croftbench("run", "-s", suite_file, "-m", "zero-shot", "--scorers", name)
    assert code == 2 and says in err and len(err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_classes_and_objects_of_python_are_scores_too(suite_file, tmp_path, cache):
    from croftbench import authored

    module = authored.load(write(tmp_path / "mine.py", ("Mine", "self.T * outputs.logits.amax(1)")))
    where = {"results": tmp_path / "results", "cache": cache}
    package.run("zero-shot", suite_file, scores=[module.Mine(T=3.0), "max_logit"], **where)
    (record,) = records(tmp_path / "results").values()
    mine, ships = record.scorers
    assert mine.label == "Mine:T=3"
    assert [s.value for s in mine.scores if s.metric == "auroc"] == [
        s.value for s in ships.scores if s.metric == "auroc"
    ]
    rows = package.evaluate(lambda f: f[:, :26], scores=f"{tmp_path / 'mine.py'}:Mine", suite=suite_file, cache=cache)
    assert {"energy", "msp", "Mine"} <= set(rows["scorer"])


BROKEN = [
    ("higher = known", "-outputs.logits.logsumexp(1)", (), "pass", 12),
    ("declared needs", "(outputs.features @ bank.T).amax(1)", (), "bank = context.outputs.features", 11),
    ("declared needs", "(outputs.features @ outputs.classes.T).amax(1)", (), "pass", 13),
    ("inputs untouched", "outputs.logits.mul_(2).logsumexp(1)", (), "pass", 12),
    ("same input, same bits", "outputs.logits.amax(1) + torch.rand(())", (), "pass", 10),
    ("image by image", "outputs.logits.amax(1) - outputs.logits.mean()", (), "pass", 12),
    ("fits; one finite number an image", "outputs.logits", (), "pass", 12),
    ("fits; one finite number an image", "outputs.logits.amax(1).log() * 0 / 0", (), "pass", 12),
]


@pytest.mark.parametrize(("promise", "score", "uses", "fit", "line"), BROKEN)
def test_a_broken_promise_is_told_with_its_line(tmp_path, cache, monkeypatch, promise, score, uses, fit, line):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "mine.py", ("Mine", score, uses, fit))
    checked = package.check_scorer(f"{path}:Mine", cache=cache, device="cpu")
    broken = {one.name: one for one in checked.broken}
    assert promise in broken
    assert f"at mine.py:{line}" in broken[promise].broken, broken[promise].broken
    assert broken[promise].hint


def test_no_test_data_can_be_opened_and_labels_are_not_given(tmp_path, cache):
    data = Path(package.__file__).parent / "embedded/emoji/images.parquet"
    path = write(tmp_path / "mine.py", ("Mine", "outputs.logits.amax(1)", (), f"open({str(data)!r}, 'rb').close()"))
    (broken,) = package.check_scorer(f"{path}:Mine", cache=cache, device="cpu").broken
    assert broken.name == "no test data reachable" and str(data) in broken.broken


@pytest.mark.parametrize("name", ["energy", "mcm", "knn", "vim", "neglabel"])
def test_scores_that_ship_would_pass_the_direction(name, cache):
    """What the check holds a user to, holds for what ships."""
    from croftbench.api import running
    from croftbench.locations import Folders
    from croftbench.progress import Silent
    from croftbench.scorers import Asked, parse
    from croftbench.stats import metrics
    from croftbench.studies import score_contract

    bench = running.workbench(score_contract.suite(), "emoji-clip/croftbench", Folders.of(cache=cache), "cpu", Silent())
    trial = score_contract.ScoreTrial(bench, Asked(name, parse(name).params))
    scorer = parse("knn:k=3" if name == "knn" else name).fit(trial.context())
    with torch.no_grad():
        values = {key: scorer(said).double().numpy() for key, said in trial.outputs.items() if key != "train"}
    inside = values.pop("id")
    assert min(metrics.auroc(inside, outside).high for outside in values.values()) > 0.5


def test_a_suite_of_ones_own_begins_as_a_file_that_runs(croftbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = croftbench("new", "suite", "mine")
    assert code == 0 and len((tmp_path / "mine.toml").read_text().splitlines()) < 40
    describe, run, compare = out.splitlines()
    assert croftbench(*shlex.split(describe)[1:])[0] == 0
    code, _, err = croftbench(*shlex.split(run)[1:], "--seeds", "1")
    assert code == 0, err
    assert croftbench(*shlex.split(compare)[1:])[0] == 0
    assert croftbench("new", "suite", "emoji-open")[0] == 2
    assert json.loads(croftbench("list", "suites", "--json")[1])
