"""Every command that an error tells to type can be typed."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

import croftbench as package
from croftbench import cli
from croftbench.cli.help import HELP

COMMITTED = Path(__file__).parents[2] / "results" / "runs" / "emoji-open"
TYPED = re.compile(r"`(croftbench [^`]+)`")

SHRINK = "class Shrink:\n    def fit(self, task): ...\n"


@pytest.fixture
def there(tmp_path):
    """The committed runs of three methods, as a fresh clone has them."""
    for method in ("croft", "zero-shot", "coop"):
        shutil.copytree(COMMITTED / method, tmp_path / "results" / "runs" / "emoji-open" / method)


@pytest.mark.parametrize(
    "line",
    [
        "run", "run --suite emoji-open", "show ffffffffffff", "show crof", "leaderboard emoji-kinds",
        "plot enrgy", "plot shots -m croft", "plot energy -s emoji-kinds", "compare zero-shot crof", "compare croft",
        "compare croft zero-shot -s emoji-kinds", "list", "list method", "run -m all,nope", "run -m zero-shto",
        "run -m shrink.py", "run -m wise-ft", "tune croft", "data verify", "data describe", "frob", "run --nope",
        "reproduce --record emoji-kinds", "export x.zip -m nope", "leaderboard emoji-opn", "run -m croft --set x=1",
        "run -m croft -s emoji-opn", "run -m croft -e nope", "run -m croft --seeds 1,1", "run -m croft --recipe mine",
        "leaderboard --check --latest", "leaderboard emoji-open --device x",
        "run -m '[croft]'", "show '[croft]'", "compare '[croft]' coop", "plot roc -m 'croft,[coop]'",
        "run -m all,crotf",
        "run -m croft --scorers knm", "run -m croft --scorers shrink.py", "run -m croft --scorers nope.py:X",
        "new scorer knn", "new suite emoji-open", "new method croft", "show ffff",
        "reproduce ffff", "reproduce emoji-open/crof", "tune croft --grid lamda2=1", "diagnose crotf", "rm crof",
        "run -m croft --set '[x]=1'", "export x.zip -s '[x]'",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("there")
def test_what_an_error_says_to_type_works(croftbench, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shrink.py").write_text(SHRINK)
    code, out, err = croftbench(*shlex.split(line))
    assert code
    assert not out
    (told,) = (text for text in err.splitlines() if text.startswith("error: "))
    assert "Known: ." not in told
    guess = re.search(r"Did you mean '([^']+)'\?", told)
    bad = re.search(r"unknown [^']*'([^']+)'", told)
    typed = [shlex.split(one)[1:] for one in TYPED.findall(told)]
    if guess and bad:
        whole = [guess[1] if word == bad[1] else word.replace(f",{bad[1]}", "") for word in shlex.split(line)]
        typed.append([re.sub(f"^{re.escape(bad[1])}=", f"{guess[1]}=", word) for word in whole])
    assert typed or re.search(r"Known: |Example: |[Gg]ive|Leave|It has|Name it|Point", told), told
    for words in typed:
        unread = {"run": "--set", "tune": "--grid", "diagnose": "--sweep"}.get(words[0])
        if unread and "--help" not in words:  # all of it is read before a name that does not exist
            code, _, err = croftbench(*words, unread, "frobnicate=1")
            assert "'frobnicate'" in err, (words, err)
        else:
            code, _, err = croftbench(*words)
            assert code == 0, (words, err)


@pytest.mark.usefixtures("there")
def test_what_a_table_and_a_listing_print_can_be_typed(croftbench):
    """A row's name and a run's identifier, in the places that take them."""
    _, out, err = croftbench("show", "croft, lambda2=0")
    (hint,) = re.findall(r"croftbench (show [0-9a-f]+)", err)
    code, whole, _ = croftbench(*hint.split())
    assert code == 0
    assert "lambda2': 0.0" in whole
    assert hint.split()[1] in out
    code, out, _ = croftbench("leaderboard", "emoji-open", "-m", "croft, lambda2=0,zero-shot")
    assert code == 0
    rows = [line for line in out.partition("Suite ")[0].splitlines() if re.match(r" *\d+ ", line)]
    assert len(rows) == 2
    assert "croft, lambda2=0 " in rows[0]
    assert "zero-shot" in rows[1]
    assert croftbench("compare", "croft, lambda2=0", "croft", "-s", "emoji-open")[0] == 0


NOTED = re.compile(r"`?croftbench ((?:run|leaderboard|show|reproduce|compare|check) [^`\n]+)")


@pytest.mark.usefixtures("there")
def test_what_is_said_after_a_success_can_be_typed(croftbench, suite_file, tmp_path, monkeypatch):
    """The next commands of what writes files, the rows that a table leaves out, the run behind a number."""
    monkeypatch.chdir(tmp_path)
    croftbench("run", "-m", "tip-adapter", "-s", suite_file)
    typed = []
    for line in (
        "new method my-tip", "new scorer my-knn", "new suite mine", "show croft", f"run -m zero-shot -s {suite_file}",
        f"run -m zero-shot -s {suite_file} --seeds 1 --results results",
    ):  # fmt: skip
        code, out, err = croftbench(*shlex.split(line))
        assert code == 0, err
        found = NOTED.findall(" ".join(out.split()) if line.startswith("run") else out + err)
        assert found, (line, out, err)
        typed += found
    (one,) = (hint for hint in typed if hint.startswith("show"))
    code, out, err = croftbench(*one.split())
    typed += NOTED.findall(out + err)
    assert any(hint.startswith("reproduce") for hint in typed)
    for hint in typed:
        words = shlex.split(hint)
        small = ["-s", suite_file] if words[0] in ("run", "compare") and "--suite" not in words else []
        small += ["--within", "1"] if words[0] == "reproduce" else []  # the run was made on another machine
        code, _, err = croftbench(*words, *small)
        assert code == 0, (hint, err)


def commands(group=None, prefix=()):
    group = group or cli.app
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


def written():
    """Every command in backticks in a text of the source that is no docstring, with its place."""
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (str(v.value) if isinstance(v, ast.Constant) else "1" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | inside):
                parts = iter([node.value])
            else:
                continue
            for typed in TYPED.findall("".join(parts)):
                yield pytest.param(typed, id=f"{path.stem}:{node.lineno}: {typed}")


@pytest.mark.parametrize("typed", list(written()))
def test_every_command_in_the_source_has_the_options_that_it_needs(typed):
    words = shlex.split(typed)[1:]
    if words in (["1"], ["--help"], ["1", "--help"], ["export"]):  # no command to type, but what one is called
        return
    known = dict(commands())
    name = next(tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in known)
    arguments = words[len(name) :]
    if name == ("list",):
        arguments = ["methods" if one == "1" else one for one in arguments]
    if name == ("new",):
        arguments = ["method" if one == "1" else one for one in arguments]
    above = click.Context(cli.app, **HELP)  # a command keeps the help option of the first context that it is met in
    with known[name].make_context(name[-1], arguments, above):  # a usage error where one is missing or unknown
        pass
