"""The walk of docs/own-method.md, typed; and what `new` and `list methods NAME` say."""

import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/own-method.md"
COMMANDS = [
    line for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.S) for line in block.splitlines()
]


def test_every_command_of_the_page_works_in_order(croftbench, suite_file, tmp_path, monkeypatch):
    """On a smaller suite than the page's, which is the only thing that is changed."""
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS:
        words = shlex.split(line)[1:]
        code, out, err = croftbench(*words, *(["-s", suite_file] if words[0] in ("run", "compare") else []))
        assert code == 0, f"{line}\n{err}"
        if words[0] == "new":
            assert out.splitlines() == [
                "croftbench check ./my_tip.py:MyTip",
                "croftbench run --method zero-shot,./my_tip.py:MyTip",
                "croftbench compare MyTip zero-shot",
            ]
            assert set(out.splitlines()) <= set(COMMANDS)
            assert len((tmp_path / "my_tip.py").read_text().splitlines()) < 40
    assert "MyTip" in out


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("croft", "there is a method 'croft' already"),
        ("1st", "cannot name a method"),
        ("class", "cannot name a method"),
        ("../x", "cannot name a method"),
        ("there", "is there already"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(croftbench, tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("mine")
    code, _, err = croftbench("new", "method", name)
    assert code == 2 and says in err
    assert [path.name for path in tmp_path.glob("**/*.py")] == ["there.py"]
    assert (tmp_path / "there.py").read_text() == "mine"


def test_a_methods_hyperparameters_are_listed_with_what_they_mean(croftbench):
    code, out, _ = croftbench("list", "methods", "croft")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("lr "))
    assert "float" in line and "> 0" in line
    assert "base learning rate" in out
    assert "sgd | adam | adamw" in out
    assert croftbench("list", "methods", "crotf")[0] == 2
    assert croftbench("list", "suites", "emoji-open")[0] == 2
