"""Suites of one's own: the walk in docs/own-images.md as it stands there, and a file that every command reads."""

import json
import re
import shlex
import shutil
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from croftbench.files import unpacked
from croftbench.suites import manifest, shelves
from tests.layouts.pictures import picture

WALK = (Path(__file__).parents[2] / "docs/own-images.md").read_text(encoding="utf-8")
BIRDS, OTHERS = ("owl", "robin", "wren"), ("lawn",)

MINE = """name = "mine"

[[families]]
name = "birds"
classes = ["owl", "robin", "wren", "lawn"]
parts = [
  { name = "train", subset = ["owl", "robin", "wren"] },
  { name = "test", subset = ["owl", "robin", "wren"] },
  { name = "new", subset = ["lawn"] },
]
layouts = [{ at = "birds" }]

[[folds]]
name = "all"
train = ["birds/train"]
id = ["birds/test"]

[[semantic]]
name = "new"
source = "splits"
splits = ["birds/new"]

[val]
source = "train"
per_class = 2

[protocol]
shots = 2
seeds = [1]
views = 2
crop_scale = [0.6, 1.0]
flip = true
scorers = ["energy", "msp"]
headline = "energy"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with pictures in data/birds, and the suite of the text above."""
    monkeypatch.chdir(tmp_path)
    for split, classes, count in (("train", BIRDS, 6), ("test", BIRDS, 5), ("night", BIRDS, 4), ("new", OTHERS, 5)):
        fill(tmp_path / "data/birds" / split, classes, count, len(split))
    (tmp_path / "mine.toml").write_text(MINE)
    return tmp_path


def fill(folder, classes, count, domain):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            data = picture("png", label + 4 * (classes is OTHERS), domain, i)
            (folder / name / f"{i}.png").write_bytes(data)


def test_the_walk_in_the_docs(croftbench, here):
    fill(here / "data/night-2", BIRDS, 3, 9)
    (here / "scores.csv").write_text(re.search(r"```\n(image,set.*?)```", WALK, re.DOTALL)[1])
    commands = [line for block in re.findall(r"```sh\n(.*?)```", WALK, re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 9
    said = {}
    for line in commands:
        program, *words = shlex.split(line)
        assert program == "croftbench"
        code, out, err = croftbench(*words)
        assert code == 0, f"{line}: {err}"
        said[line] = out
    assert "'night' shows 3 known classes: a covariate shift" in said[commands[0]]
    for name in ("tip-adapter", "zero-shot", "AUROC ↑", "Acc ↑", "night"):
        assert name in said["croftbench leaderboard birds"]
    assert 'covariate = { night = "dusk/night", dusk = ' in (here / "dusk.toml").read_text()


def test_a_suites_file_with_its_own_data_works_in_every_command(croftbench, here):
    """Described without a licence, found below the data root, and known by name once it was run."""
    run = ("run", "-m", "zero-shot,linear-probe", "-s", "./mine.toml", "--data-root", "data")
    assert croftbench(*run)[0] == 0
    assert "2 of 2 runs are finished already" in croftbench(*run)[2]
    run_id = next((here / "results/runs/mine").glob("*/*.json")).stem
    for line in (
        "leaderboard mine", "leaderboard mine.toml", "leaderboard", "leaderboard --check", "plot roc -s mine",
        "report mine", "compare linear-probe zero-shot --data-root data", "export all.zip -s mine.toml",
        "import all.zip", f"show {run_id}", "tune linear-probe -s mine.toml --grid C=1,10 --data-root data",
        "check --manifests mine.toml", "data describe mine.toml", "data describe birds/new --manifests mine.toml",
        "data verify birds --manifests mine.toml --data-root data", "reproduce --record mine",
    ):  # fmt: skip
        code, _, err = croftbench(*line.split())
        assert code == 0 or "no complete" in err, f"{line}: {err}"
    shown = {}
    for more in ([], ["--data-root", "data"]):
        assert croftbench("report", "mine", *more, "--cache", "pictures")[0] == 0
        shown[len(more)] = (here / "site/index.html").read_text().count("<li>")
    assert shown[0] == 0 < shown[2]
    assert any((here / "pictures").rglob("section-*.json"))
    assert '"mine"' in croftbench("list", "suites", "--json")[1]
    splits = json.loads(croftbench("list", "splits", "--json", "--manifests", "mine.toml")[1])
    assert next(one for one in splits if one["name"] == "birds")["licence"] == "private"
    status = json.loads(croftbench("data", "status", "--json", "--manifests", "mine.toml", "--data-root", "data")[1])
    assert next(one for one in status["suites"] if one["suite"] == "mine")["lacks"] == []


def test_test_images_alone_make_a_suite_for_methods_that_learn_nothing(croftbench, here):
    shutil.rmtree(here / "data/birds/train")
    assert croftbench("data", "new", "data/birds")[0] == 0
    code, out, err = croftbench("run", "--method", "zero-shot,tip-adapter", "--suite", "birds.toml")
    assert code == 0, err
    assert "zero-shot" in out
    assert "tip-adapter" not in out
    assert "birds has no training images, left out: tip-adapter." in err
    code, out, err = croftbench("run", "--method", "tip-adapter", "--suite", "birds.toml")
    assert (code, out) == (2, "")
    assert "error: tip-adapter cannot run: birds has no training images." in err
    code, out, err = croftbench("run", "--method", "zero-shot", "--suite", "birds.toml", "--scorers", "margin,knn")
    assert code == 0, err
    assert "Not applicable: there is no training image to compare with" in out
    for command in (["leaderboard", "birds"], ["report", "birds"], ["data", "describe", "birds.toml"],
                    ["plot", "energy", "-s", "birds"]):  # fmt: skip
        code, _, err = croftbench(*command)
        assert code == 0, f"{command}: {err}"


def test_a_score_that_tables_lack_is_made_from_kept_outputs_or_it_is_said_how(croftbench, here, cache, monkeypatch):
    monkeypatch.setenv("CROFTBENCH_DATA", "data")
    run = ["run", "--suite", "mine.toml", "--method", "zero-shot,tip-adapter,gl-mcm", "--scorers", "margin,knn:k=3"]
    code, _, err = croftbench(*run)
    assert code == 0, err
    code, out, err = croftbench("compare", "tip-adapter", "zero-shot", "-s", "mine", "--scorer", "margin", "--json")
    assert code == 0, err
    numbers = {}
    for name in ("tip-adapter", "zero-shot"):
        (path,) = (here / "results/posthoc/mine" / name).glob("*.json.gz")
        (one,) = [one for one in json.loads(unpacked(path.read_bytes()))["scorers"] if one["label"] == "margin"]
        numbers[name] = {score["metric"]: score["value"] for score in one["scores"]}
    for test in json.loads(out)["tests"]:
        if test["scorer"]:
            assert test["scorer"] == "margin"
            effect = numbers["tip-adapter"][test["metric"]] - numbers["zero-shot"][test["metric"]]
            assert test["effect"] == pytest.approx(effect, abs=1e-6)
    for kind in ("energy", "roc", "pareto"):
        code, _, err = croftbench("plot", kind, "-s", "mine", "--scorer", "knn:k=3", "-o", f"{kind}.svg")
        assert code == 0, err
    assert f"{numbers['zero-shot']['auroc']:.3f}" not in (here / "roc.svg").read_text()
    code, _, err = croftbench("plot", "roc", "-s", "mine", "--scorer", "gl_mcm")  # gl-mcm's own
    assert code == 0, err
    assert "Left out, for want of per-image tables: " in err
    code, _, err = croftbench("compare", "gl-mcm", "zero-shot", "-s", "mine", "--scorer", "gl_mcm")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown scorer of these runs 'gl_mcm'" in err
    code, _, err = croftbench("compare", "tip-adapter", "zero-shot", "-s", "mine", "--scorer", "margn")
    assert (code, err.count("\n")) == (2, 1)
    assert "Did you mean 'margin'?" in err
    for path in here.glob("results/runs/mine/*/*.json"):
        shutil.rmtree(cache / "outputs" / path.stem)
    assert croftbench("plot", "pareto", "-s", "mine", "--scorer", "margin")[0] == 0, "numbers are in the results"
    for line in (["compare", "tip-adapter", "zero-shot"], ["plot", "roc", "-m", "zero-shot"]):
        code, _, err = croftbench(*line, "-s", "mine", "--scorer", "margin")
        assert (code, err.count("\n")) == (1, 1)
        assert "there is no margin of each image of run" in err
        (again,) = re.findall("`croftbench (run .* --force)` makes the run again, and its outputs are kept", err)
        assert croftbench(*shlex.split(again))[0] == 0
    code, _, err = croftbench("plot", "roc", "-s", "mine", "-m", "zero-shot", "--scorer", "margin")
    assert code == 0, err


def test_runs_whose_suite_is_gone_are_named(croftbench, here):
    croftbench("run", "-m", "zero-shot", "-s", "mine.toml", "--data-root", "data")
    (here / "results/suites/mine.toml").unlink()
    code, _, err = croftbench("leaderboard")
    assert code == 2
    assert "no manifest describes mine. Say where it is: --manifests" in err
    assert croftbench("leaderboard", "--manifests", "mine.toml")[0] == 0


def test_every_fault_of_a_suite_and_of_its_data_is_told_at_once(croftbench, here):
    text = MINE.replace("shots = 2", "shots = 0").replace('at = "birds"', 'at = "../birds"').replace("flip", "flop")
    (here / "mine.toml").write_text(text)
    _, _, err = croftbench("run", "-m", "zero-shot", "-s", "mine.toml")
    assert "unknown key 'protocol.flop'. Did you mean 'flip'?" in err
    text = text.replace("flop", "flip")
    (here / "mine.toml").write_text(text)
    code, _, err = croftbench("run", "-m", "zero-shot", "-s", "mine.toml")
    assert code == 1
    for words, says in (("../birds", "leads out of the data root"), ("shots = 0", "shots must be at least 1")):
        line = next(number for number, line in enumerate(text.splitlines(), 1) if words in line)
        assert re.search(rf"mine.toml:{line}: .*{says}", err)


def test_manifests_that_are_not_there_are_named(croftbench, here):
    code, _, err = croftbench("list", "suites", "--manifests", "gone")
    assert (code, "there is no folder of manifests gone" in err) == (2, True)
    code, _, err = croftbench("list", "suites", "--manifests", "data")
    assert (code, "data holds neither suites/ nor splits/" in err) == (2, True)


def test_an_installed_package_brings_suites(here, monkeypatch):
    home = here / "package"
    (home / "suites").mkdir(parents=True)
    (home / "suites/mine.toml").write_text(MINE)
    module = types.ModuleType("their_manifests")
    module.__file__ = str(home / "__init__.py")
    monkeypatch.setitem(sys.modules, "their_manifests", module)
    entry = EntryPoint("theirs", "their_manifests", shelves.GROUP)
    monkeypatch.setattr(shelves, "entry_points", lambda group: [entry] if group == shelves.GROUP else [])
    shelves._installed.cache_clear()
    try:
        assert "mine" in manifest.names("suites")
        assert manifest.suite("mine").home == str(home / "suites/mine.toml")
    finally:
        shelves._installed.cache_clear()
