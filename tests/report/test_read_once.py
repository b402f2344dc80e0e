"""A command opens each file of results once, counted by the interpreter itself in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from croftbench.runs import posthoc, results
from croftbench.runs.posthoc import Posthoc

COUNT = """
import atexit, json, os, sys

folder, opened = os.path.abspath(sys.argv[1]), []

def note(event, details):
    if event == "open" and isinstance(details[0], str | os.PathLike) and os.fspath(details[0]).startswith(folder):
        opened.append(os.fspath(details[0]))

sys.addaudithook(note)
from croftbench.cli import main

sys.argv = ["croftbench", *sys.argv[2:]]
try:
    main()
finally:
    print(json.dumps(opened), file=sys.stderr)
"""


@pytest.fixture
def filled(made, tmp_path):
    """Two methods, three seeds, each run with a post-hoc record."""
    for seed in (1, 2, 3):
        for method in ("croft", "zero-shot"):
            posthoc.write(tmp_path, Posthoc(made(tmp_path, method, seed).spec))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard",),
        ("leaderboard", "--check"),
        ("leaderboard", "--format", "html"),
        ("compare", "croft", "zero-shot"),
    ],
    ids=" ".join,
)
def test_each_file_is_read_once(filled, tmp_path_factory, words):
    if "--check" in words:
        opened_by(filled, tmp_path_factory, "leaderboard")
    opened = opened_by(filled, tmp_path_factory, *words)
    runs = [str(results.path_of(filled, run.spec)) for run in results.read_all(filled)]
    assert {path: opened[path] for path in runs} == dict.fromkeys(runs, 1)
    assert {path: count for path, count in opened.items() if count > 1 and "leaderboards" not in path} == {}


def test_the_page_reads_a_file_to_tell_what_it_is_made_of_and_again_only_to_make_that(filled, tmp_path_factory):
    words = "report", "--output", str(tmp_path_factory.mktemp("site")), "--cache", str(tmp_path_factory.mktemp("cache"))
    runs = [str(results.path_of(filled, run.spec)) for run in results.read_all(filled)]
    for times in (2, 1):
        opened = opened_by(filled, tmp_path_factory, *words)
        assert {path: opened[path] for path in runs} == dict.fromkeys(runs, times)
        assert max(opened.values()) == times


def opened_by(folder, tmp_path_factory, *words) -> Counter[str]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, "-c", COUNT, str(folder), *words, "--results", str(folder)]
    ran = subprocess.run(command, cwd=elsewhere, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return Counter(json.loads(ran.stderr.splitlines()[-1]))
