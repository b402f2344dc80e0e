"""Methods that misbehave: each fails alone, is told with its author's line, and changes nothing for the others."""

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import open_clip  # noqa: F401  its first import, not a method, adds filters of warnings
import pytest
import torch

import croftbench
from croftbench.api.running import FailedRunsError
from croftbench.errors import CroftbenchError, MethodError
from croftbench.runs import failures, results

HEAD = '''"""Methods that do what no method should."""
import os, random, sys, time, warnings
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
import torch
from croftbench.method import Needs, Outputs

unit = torch.nn.functional.normalize


@dataclass(frozen=True)
class Base:
    needs: ClassVar[Needs] = Needs(train=False)
    version: ClassVar[int] = 1

    def predictor(self, task):
        w = unit(task.text.float(), dim=-1)
        return lambda f: Outputs(task.logit_scale * unit(f, dim=-1) @ w.T, unit(f, dim=-1), w)
'''
METHOD = """

@dataclass(frozen=True)
class {name}(Base):
    def fit(self, task):
        {body}
"""
WRONG = {
    "Key": ("return {}['colour']  # HERE", "KeyError: 'colour'"),
    "Exit": ("sys.exit(0)  # HERE", "SystemExit: it called exit(0)"),
    "Interrupt": ("raise KeyboardInterrupt  # HERE", "KeyboardInterrupt"),
    "Base_": ("raise GeneratorExit('odd')  # HERE", "GeneratorExit: odd"),
    "Memory": ("raise torch.OutOfMemoryError('CUDA out of memory.')  # HERE", "OutOfMemoryError"),
    "Nothing": ("pass", "gave a NoneType for a predictor"),
    "InPredict": ("return lambda f: f.no_such_thing  # HERE", "AttributeError"),
    "NoOutputs": ("return lambda f: f  # HERE", "returned a Tensor, not Outputs"),
    "Shape": ("return lambda f: Outputs(f[:, :1], unit(f, dim=-1))  # HERE", "logits of shape"),
    "Device": ("return lambda f: Outputs(f.to('meta'), f)  # HERE", ""),
    "Scores": ("p = self.predictor(task); return lambda f: Outputs(p(f).logits, p(f).features, scores=None)  # HERE",
               "scores of type NoneType"),
    "Tower": ("return task.towers.text  # HERE", 'Needs(text="tower")'),
    "Slow": ("\n        while True:\n            try: time.sleep(9)\n            except Exception: pass",
             "took longer than its 2 s"),
}  # fmt: skip
"""Class -> the body of its `fit`, and what its failure says."""

LEAKS = """
        os.chdir('/'); os.environ['LEAK'] = '1'; torch.set_grad_enabled(False); torch.set_default_dtype(torch.float64)
        torch.set_num_threads(3); np.seterr(all='raise'); warnings.simplefilter('error'); print('a stray word')
        random.seed(0); np.random.seed(0); torch.manual_seed(0); torch.use_deterministic_algorithms(True)
        return self.predictor(task)"""


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "wrong.py"
    bodies = {name: body for name, (body, _) in WRONG.items()} | {"Leaks": LEAKS}
    path.write_text(HEAD + "".join(METHOD.format(name=name, body=body) for name, body in bodies.items()))
    return path


def state():
    return (
        Path.cwd(), os.environ.get('LEAK'), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads(),
        np.geterr(), list(warnings.filters), random.getstate(), str(np.random.get_state()),
        torch.get_rng_state().tolist(), torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip


def test_each_fails_alone_with_its_authors_line_and_a_record(cache, suite_file, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    methods, before = [*(f"{wrong}:{name}" for name in WRONG), "zero-shot"], state()
    with pytest.raises(FailedRunsError, match=f"{len(WRONG)} run") as caught:
        croftbench.run(methods, suite_file, results="results", cache=cache, timeout=2)
    assert state() == before
    lines = (HEAD + wrong.read_text()[len(HEAD) :]).splitlines()
    for job, error in caught.value.failures:
        says = WRONG[job.spec.method][1]
        assert says in f"{error.message} {error.hint}"
        assert isinstance(error, CroftbenchError)
        assert "bug" not in f"{error.message} {error.hint}"
        where = error.message.rstrip(".").rpartition(", at ")[2]
        name, _, number = where.partition(":")
        assert name == "wrong.py", error.message
        start = next(i for i, line in enumerate(lines) if line.startswith(f"class {job.spec.method}("))
        assert start < int(number) <= start + 7
        if "HERE" in WRONG[job.spec.method][0]:
            assert "HERE" in lines[int(number) - 1]
        record = json.loads(failures.path_of(tmp_path / "results", job.spec).read_text())
        assert record["message"] == error.message and record["traceback"]
    assert [run.spec.method for run in results.read_all(tmp_path / "results")] == ["zero-shot"]
    assert list(caught.value.leaderboard.wide["method"]) == ["zero-shot"]


def test_what_a_method_changes_is_put_back(cache, suite_file, wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = state()
    board = croftbench.run([f"{wrong}:Leaks", "zero-shot"], suite_file, results="results", cache=cache)
    assert state() == before
    captured = capsys.readouterr()
    assert "a stray word" in captured.err and captured.out == ""
    leaks, zero_shot = (next(r for r in board.runs if r.spec.method == name) for name in ("Leaks", "zero-shot"))
    accuracy = {(s.split, s.metric): s.value for s in zero_shot.scores if s.metric == "accuracy"}
    assert accuracy == {(s.split, s.metric): s.value for s in leaks.scores if s.metric == "accuracy"}


def test_a_later_success_removes_the_record_of_a_failure(cache, suite_file, tmp_path, monkeypatch):
    monkeypatch.setenv("CROFTBENCH_TEST_FAILS", "1")
    mine = tmp_path / "mine.py"
    body = (
        "if 'CROFTBENCH_TEST_FAILS' in os.environ: raise RuntimeError('not today')\n        return self.predictor(task)"
    )
    mine.write_text(HEAD + METHOD.format(name="Mine", body=body))
    folder = tmp_path / "results"
    for _ in range(2):  # a run that failed is no finished one
        with pytest.raises(FailedRunsError, match="not today"):
            croftbench.run(f"{mine}:Mine", suite_file, results=folder, cache=cache)
    assert list((folder / "failed").rglob("*.json"))
    monkeypatch.delenv("CROFTBENCH_TEST_FAILS")
    croftbench.run(f"{mine}:Mine", suite_file, results=folder, cache=cache)
    assert not (folder / "failed").exists()


def test_global_random_streams_start_at_the_seed_whatever_ran_before(cache, suite_file, tmp_path):
    mine = tmp_path / "mine.py"
    body = """w = torch.randn_like(task.text) + float(np.random.rand()) + random.random()
        return lambda f: Outputs(f @ w.T, unit(f, dim=-1))"""
    mine.write_text(HEAD + METHOD.format(name="Mine", body=body))
    numbers = []
    for name, before in (("a", []), ("b", ["zero-shot"])):
        torch.randn(len(name)), random.random()
        board = croftbench.run([*before, f"{mine}:Mine"], suite_file, results=tmp_path / name, cache=cache)
        (run,) = (run for run in board.runs if run.spec.method == "Mine")
        numbers.append([s.value for s in run.scores])
    assert numbers[0] == numbers[1]


def test_in_a_process_of_its_own_it_may_die_and_the_numbers_are_the_same(cache, suite_file, tmp_path):
    mine = tmp_path / "mine.py"
    bodies = {
        "Dies": "import ctypes; print('gone', flush=True); os.kill(os.getpid(), 9)",
        "Raises": "raise ValueError('no')  # HERE",
        "Hangs": "torch.set_num_threads(1)\n        while True: sorted(range(10**7))",
        "Fine": "print('fine'); os.write(1, b'fine'); return self.predictor(task)",
    }
    mine.write_text(HEAD + "".join(METHOD.format(name=name, body=body) for name, body in bodies.items()))
    with pytest.raises(FailedRunsError) as caught:
        methods = [f"{mine}:{name}" for name in bodies]
        croftbench.run(methods, suite_file, results=tmp_path / "r", cache=cache, timeout=2, isolate=True)
    said = {job.spec.method: error for job, error in caught.value.failures}
    assert set(said) == {"Dies", "Raises", "Hangs"}
    assert "ended by SIGKILL" in said["Dies"].message and "mine.py:" in said["Dies"].message
    assert "ValueError: no, at" in said["Raises"].message
    assert "took longer than its 2 s" in said["Hangs"].message
    record = json.loads(failures.path_of(tmp_path / "r", caught.value.failures[1][0].spec).read_text())
    assert any("# HERE" in line for line in record["traceback"]), "the child's own traceback is kept"
    here = croftbench.run(f"{mine}:Fine", suite_file, results=tmp_path / "here", cache=cache)
    (fine,) = results.read_all(tmp_path / "r")
    assert fine.scores == here.runs[0].scores


def test_a_forced_run_takes_the_place_of_the_old_one(cache, suite_file, tmp_path):
    first = croftbench.run("zero-shot", suite_file, results=tmp_path, cache=cache, scores=["margin"]).runs[0]
    (path,) = tmp_path.glob("runs/*/*/*.json")
    path.write_text(path.read_text().replace(first.created, "2020-01-01T00:00:00+00:00"))
    again = croftbench.run("zero-shot", suite_file, results=tmp_path, cache=cache, force=True).runs[0]
    assert (again.spec.run_id, again.scores) == (first.spec.run_id, first.scores)
    assert "2020-01-01" not in path.read_text()
    assert not list(tmp_path.glob("posthoc/*/*/*")), "scores of the run that was replaced"


def test_the_users_own_ctrl_c_ends_everything_even_if_the_method_swallows_it(cache, suite_file, tmp_path):
    mine = tmp_path / "mine.py"
    body = """
        try: os.kill(os.getpid(), 2); time.sleep(5)
        except BaseException: pass
        return self.predictor(task)"""
    mine.write_text(HEAD + METHOD.format(name="Mine", body=body))
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from croftbench.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "-m", f"{mine}:Mine,zero-shot", "-s", str(suite_file)]
    environment = {**os.environ, "CROFTBENCH_CACHE": str(cache), "CROFTBENCH_RESULTS": str(tmp_path / "r")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert not list(tmp_path.glob("r/runs/*/*/*.json"))


def test_an_error_survives_the_way_between_processes():
    import pickle

    error = MethodError("KeyError: 'x'", "Do this.", "mine.py:3")
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint, again.where) == ("KeyError: 'x', at mine.py:3.", "Do this.", "mine.py:3")
    assert type(again) is MethodError
