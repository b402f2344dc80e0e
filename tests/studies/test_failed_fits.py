"""A grid goes on where one of its cells fails."""

import json

import pytest

import croftbench
from croftbench.api.studying import FailedFitsError
from croftbench.errors import CroftbenchError

MINE = '''"""Zero-shot CLIP that dislikes some temperatures."""
from dataclasses import dataclass
from typing import ClassVar

from croftbench.method import Needs, Outputs
from croftbench.training import unit


@dataclass(frozen=True)
class Mine:
    needs: ClassVar[Needs] = Needs()
    t: float = 1.0

    def fit(self, task):
        if self.t > 1:
            return {}[self.t]
        w = unit(task.text)
        return lambda f: Outputs(task.logit_scale * unit(f) @ w.T, unit(f), w)
'''


@pytest.fixture
def asked(cache, suite_file, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return {"method": f"{path}:Mine", "suite": suite_file, "cache": cache, "results": tmp_path / "results"}


def test_a_search_has_the_cells_that_work_and_says_which_did_not(asked):
    with pytest.raises(
        FailedFitsError, match=r"1 fit\(s\) failed, first t=2.0: KeyError: 2.0, at .*mine.py:"
    ) as caught:
        croftbench.tune(grid={"t": [1, 2, 0.5]}, **asked)
    tuned = caught.value.done
    assert [cell.params["t"] for cell in tuned.cells] == [1.0, 0.5]
    record = json.loads(tuned.path.read_text())
    assert record["failed"] == [{"params": {"t": 2.0}, "why": caught.value.failures[0][1].message}]
    with pytest.raises(CroftbenchError, match="KeyError"):
        croftbench.tune(grid={"t": [2, 3]}, **asked)


def test_a_diagnosis_has_the_settings_that_work(asked):
    with pytest.raises(FailedFitsError, match=r"t=2\.0: KeyError") as caught:
        croftbench.diagnose(sweep={"t": [1, 2]}, **asked)
    record = caught.value.done.record
    assert {finding["setting"] for finding in record["findings"]} == {"before training", "t=1.0"}
    assert record["failed"][0]["setting"] == "t=2.0"


def test_the_command_prints_what_works_and_exits_1(asked, tmp_path, monkeypatch, capsys):
    import sys

    from croftbench import cli

    line = ["tune", asked["method"], "--grid", "t=1,2", "-s", asked["suite"], "-r", asked["results"]]
    monkeypatch.setattr(sys, "argv", ["croftbench", *map(str, line), "--cache", str(asked["cache"])])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    assert stop.value.code == 1
    assert "objective" in captured.out
    assert "t=2.0: KeyError: 2.0, at" in captured.err and "1 fit(s) failed" in captured.err
