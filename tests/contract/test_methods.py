"""Every method keeps the contract of croftbench.method; and what breaks it is told, with the line to change."""

import pytest

import croftbench
from croftbench import plugins
from croftbench.errors import UsageError
from croftbench.method import Towers
from croftbench.studies import contract


@pytest.mark.parametrize("name", [*sorted(plugins.BUILT_IN), "wise-ft+croft", "wise-ft+coop"])
def test_it_keeps_every_promise(name, cache):
    checked = croftbench.check_method(name, cache=cache, device="cpu")
    assert [(one.name, one.broken) for one in checked.promises] == [(name, "") for name in contract.PROMISES]
    assert checked.cost is not None


@pytest.mark.parametrize("name", sorted(plugins.BUILT_IN))
def test_it_has_both_named_recipes(name, cache):
    assert {"authors", "croft-comparison"} <= set(plugins.describe(name, cache).recipes)


def test_a_tower_that_was_not_declared_is_an_error_that_names_the_fix():
    with pytest.raises(UsageError, match=r'Needs\(text="tower"\)'):
        _ = Towers().text


MINE = '''"""Zero-shot CLIP, and what a promise forbids."""
import glob
from dataclasses import dataclass
from typing import ClassVar

import torch

from croftbench.method import Needs, Outputs
from croftbench.training import unit


@dataclass(frozen=True)
class Mine:
    needs: ClassVar[Needs] = Needs()
    recipes: ClassVar = {"mild": {"t": 0.5}}
    t: float = 1.0

    def fit(self, task):
        FIT
        w = unit(task.text)
        def predict(f):
            z = unit(f)
            PREDICT
            return Outputs(task.logit_scale * z @ w.T, z)
        return predict
'''
BROKEN = {
    "fits; shapes, types, unit length": [
        ("w = task.classes", "pass", "AttributeError", 19),
        ("pass", "z = 2 * z", "features of length 2", 21),
        ("task.towers.text", "pass", "without declaring it", 19),
    ],
    "same seed, same bits": [
        ("import os; noise = float(os.urandom(1)[0])", "return Outputs(f @ w.T + noise, z)", "fitted twice", 18)
    ],
    "inputs untouched": [
        ("task.text.add_(1)", "pass", "fit writes on task.text", 18),
        ("pass", "f.mul_(0)", "writes on the features", 21),
    ],
    "image by image": [("pass", "return Outputs(f @ w.T + f.mean(), z)", "depend on the images beside", 21)],
    "no test data reachable": [
        ("[open(p, 'rb').close() for p in glob.glob('CACHE/features/**/*.npy', recursive=True)]", "pass", "opens", 18)
    ],
    "its recipes": [("assert self.t == 1", "pass", "by its recipe 'mild': AssertionError", 19)],
}


@pytest.mark.parametrize(("promise", "case"), [(name, case) for name, cases in BROKEN.items() for case in cases])
def test_a_broken_promise_names_its_line(promise, case, cache, tmp_path):
    fit, predict, says, line = case
    mine = tmp_path / "mine.py"
    mine.write_text(MINE.replace("FIT", fit.replace("CACHE", str(cache))).replace("PREDICT", predict))
    checked = croftbench.check_method(f"{mine}:Mine", cache=cache, device="cpu")
    broken = {one.name: one for one in checked.broken}
    assert list(broken) == [promise]
    assert says in broken[promise].broken
    assert f"mine.py:{line}" in broken[promise].broken
    assert broken[promise].hint or "Error" in broken[promise].broken


def test_the_command_says_each_promise_and_exits_1_where_one_is_broken(cache, tmp_path, monkeypatch, capsys):
    import sys

    from croftbench import cli

    mine = tmp_path / "mine.py"
    for fit, code in (("pass", 0), ("task.text.add_(1)", 1)):
        mine.write_text(MINE.replace("FIT", fit).replace("PREDICT", "pass"))
        monkeypatch.setattr(sys, "argv", ["croftbench", "check", f"{mine}:Mine", "--cache", str(cache)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        assert stop.value.code == code
        assert captured.out.count("ok  Mine: ") == len(contract.PROMISES) - code
    assert "inputs untouched: fit writes on task.text, at" in captured.err
