"""The code that decides numbers: modules beside a user's file count, and other code of a built-in method is told."""

import json
import subprocess
import sys

import pytest

import croftbench
from croftbench import authored, plugins
from croftbench.errors import UsageError
from croftbench.files import sealed

MINE = '''"""A method in two files."""
import helper
from dataclasses import dataclass
from typing import ClassVar

from croftbench.method import Needs, Outputs
from croftbench.training import unit


@dataclass(frozen=True)
class CLASS:
    needs: ClassVar[Needs] = Needs(train=False)
    lambda2: float = helper.DEFAULT

    def fit(self, task):
        from inner.late import scale
        w = unit(task.text)
        return lambda f: Outputs(scale(task.logit_scale * unit(f) @ w.T), unit(f))
'''


@pytest.fixture
def folder(tmp_path):
    """A method's file, a module beside it, and a package beside it that is imported late."""

    def make(name, default=1.0, factor=1.0, cls="Mine"):
        here = tmp_path / name
        (here / "inner").mkdir(parents=True, exist_ok=True)
        (here / "mine.py").write_text(MINE.replace("CLASS", cls))
        (here / "helper.py").write_text(f"DEFAULT = {default}\n")
        (here / "inner/__init__.py").write_text("")
        (here / "inner/late.py").write_text(f"from . import deep\ndef scale(x): return x * deep.FACTOR * {factor}\n")
        (here / "inner/deep.py").write_text("FACTOR = 1\n")
        return here

    return make


def test_modules_beside_a_file_are_imported_and_are_part_of_its_identity(folder, tmp_path):
    here = folder("a")
    names = {str(path.relative_to(here)) for path in authored.beside(here / "mine.py")}
    assert names == {"helper.py", "inner/__init__.py", "inner/late.py", "inner/deep.py"}
    before = plugins.describe(f"{here / 'mine.py'}:Mine", tmp_path)
    (here / "unrelated.py").write_text("x = 1\n")
    assert plugins.describe(f"{here / 'mine.py'}:Mine", tmp_path).source == before.source
    (here / "inner/deep.py").write_text("FACTOR = 2\n")
    assert plugins.describe(f"{here / 'mine.py'}:Mine", tmp_path).source != before.source
    (here / "helper.py").write_text("DEFAULT = 5.0\n")
    after = plugins.describe(f"{here / 'mine.py'}:Mine", tmp_path)
    assert after.params["lambda2"].default == 5.0, "the edited module is imported anew"


def test_modules_of_one_name_in_two_folders_are_two(folder, tmp_path):
    infos = [plugins.describe(f"{folder(name, default=value) / 'mine.py'}:Mine", tmp_path) for name, value in
             (("a", 1.0), ("b", 2.0))]  # fmt: skip
    assert [info.params["lambda2"].default for info in infos] == [1.0, 2.0]
    assert infos[0].source != infos[1].source


def test_a_module_that_is_imported_late_is_found_when_it_runs(folder, cache, suite_file, tmp_path):
    here = folder("a")
    board = croftbench.run(f"{here / 'mine.py'}:Mine", suite_file, results=tmp_path / "r", cache=cache)
    assert [run.spec.method for run in board.runs] == ["Mine"]


def test_a_class_named_like_a_built_in_method_is_another_with_no_recipe_of_its(folder, cache, suite_file, tmp_path):
    """food.toml sets croft's lambda2 to 0.001."""
    here = folder("a", cls="croft")
    board = croftbench.run(f"{here / 'mine.py'}:croft", suite_file, results=tmp_path / "r", cache=cache)
    (run,) = board.runs
    assert (run.spec.method, run.spec.params["lambda2"]) == ("mine.croft", 1.0)


def test_comments_and_docstrings_are_no_code(tmp_path):
    one, two, three = (tmp_path / name / "m.py" for name in "abc")
    for path, text in ((one, '"""A."""\nx = 1\n'), (two, '"""B."""\n# why\nx  =  1\n'), (three, "x = 2\n")):
        path.parent.mkdir()
        path.write_text(text)
    assert authored.code([one]) == authored.code([two]) != authored.code([three])


def test_runs_that_other_code_made_are_told_loudly(cache, suite_file, tmp_path, capsys):
    folders = {"results": tmp_path / "r", "cache": cache, "progress": True}
    run = croftbench.run("zero-shot", suite_file, **folders).runs[0]
    assert run.env["code"] == plugins.describe("zero-shot", cache).code != ""
    croftbench.run("zero-shot", suite_file, **folders)
    assert "WARNING" not in capsys.readouterr().err
    (path,) = (tmp_path / "r").glob("runs/*/*/*.json")
    data = json.loads(path.read_text())
    data["env"]["code"] = "0" * 12
    del data["digest"]
    path.write_text(sealed(json.dumps(data, indent=1)))
    croftbench.run("zero-shot", suite_file, **folders)
    assert "WARNING: food: 1 finished run(s) of zero-shot were made by other code" in capsys.readouterr().err
    croftbench.run("zero-shot", suite_file, force=True, **folders)
    assert "WARNING" not in capsys.readouterr().err
    assert json.loads(path.read_text())["env"]["code"] == run.env["code"]


@pytest.mark.parametrize("text", ["import sys\nsys.exit(0)\n", "x = {}['a']\n", "def broken(:\n"])
def test_a_file_that_fails_at_import_is_told_with_its_line_and_changes_nothing(tmp_path, text, capsys, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    head = "import os\nimport torch\nos.chdir('/'); torch.set_default_dtype(torch.float64); print('hello')\n"
    (tmp_path / "bad.py").write_text((head if "broken" not in text else "\n\n\n") + text)
    with pytest.raises(UsageError, match=r"importing bad.py failed: .* at bad.py:[45]"):
        plugins.describe("bad.py:Mine", tmp_path / "cache")
    assert torch.get_default_dtype() == torch.float32
    assert capsys.readouterr().out == ""


def test_a_program_that_imports_from_its_own_folder_is_fingerprinted_with_that(tmp_path):
    (tmp_path / "prog.py").write_text(
        "import helper\nfrom helper import f\nclass Mine:\n    def fit(self): return f(helper)\n"
        "from croftbench.plugins.in_memory import source_of\nprint(source_of(Mine))\n"
    )

    def said(text):
        (tmp_path / "helper.py").write_text(text)
        done = subprocess.run([sys.executable, tmp_path / "prog.py"], capture_output=True, text=True, check=True)
        return done.stdout

    assert said("def f(x): return 1\n") != said("def f(x): return 2\n")
