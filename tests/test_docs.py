"""What the documentation points at is there."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from croftbench import plugins

ROOT = Path(__file__).parents[1]
GENERATED = {"methods", "scores", "suites", "datasets", "cli", "api", "changelog"}
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    tests = {ROOT / name for name in re.findall(r"`(tests/[\w/]+\.\w+)`", text)}
    links = {(page.parent / name).resolve() for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)}
    made = {ROOT / "docs/cards", ROOT / "docs"}  # `make docs` makes these pages, and holds links to them to be right
    missing = [path for path in sorted(tests | links) if not path.exists()]
    assert [str(path) for path in missing if not (path.parent in made and path.stem in GENERATED)] == []


def test_every_tripwire_has_its_test():
    lines = (ROOT / "docs/tripwires.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")][2:]
    assert len(rows) > 20
    for kind, does, test in rows:
        assert kind.strip().startswith("**") or (does.strip() and "`tests/" in test), kind


def test_the_table_of_agreements_is_what_tests_assert():
    """docs/agreement.csv holds what `measured` of tests/methods allows, for all methods; the page shows it."""
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    with (ROOT / "docs/agreement.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [*plugins.BUILT_IN, "wise-ft"]
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests/methods").glob("test_*.py"))
    assert [row["method"] for row in rows if f'measured("{row["method"]}"' not in tests] == []
    _, shown = page.split("| method | checked against | largest difference of a logit, float64 |\n|---|---|---|\n")
    expected = [f"| `{row['method']}` | {row['checked against']} | {row['at most']} |" for row in rows]
    assert shown.split("\n\n")[0].splitlines() == expected


def test_every_method_has_its_memory_measured():
    """The cards say it; a new method is measured by `python -m benchmarks.memory NAME`."""
    with (ROOT / "benchmarks/memory.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["method"]: int(row["megabytes"]) for row in csv.DictReader(file)}
    assert set(rows) == set(plugins.BUILT_IN)
    assert all(100 < megabytes < 10_000 for megabytes in rows.values())


EXAMPLES = sorted((ROOT / "docs/examples").glob("*.py"))


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.stem != "own_method"], ids=lambda path: path.stem)
def test_an_example_runs_and_says_something(example, tmp_path, cache):
    """own_method.py, the notebook, runs in tests/api/test_front_door.py."""
    where = {"CROFTBENCH_CACHE": str(cache), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    if example.stem == "paper_figure":
        where["CROFTBENCH_RESULTS"] = str(ROOT / "results")
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, cwd=tmp_path, env=where)
    assert done.returncode == 0, done.stderr
    assert len(example.read_text().splitlines()) < 40
    made = {path.suffix for path in tmp_path.iterdir()}
    assert {".pdf", ".png"} <= made if example.stem == "paper_figure" else "auroc" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_prose_wraps_below_100_characters(page):
    fenced, long = False, []
    for line in page.read_text(encoding="utf-8").splitlines():
        fenced ^= line.strip().startswith("```")
        if not fenced and len(line) >= 100 and not line.strip().startswith(("|", "![", "#")) and "](" not in line:
            long.append(line)
    assert long == []
