"""What a release says of itself is true, and is said in one place."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import croftbench

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
JOBS = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_the_citation_names_this_version_and_licence():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (croftbench.__version__, PROJECT["license"])
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["references"][0]["identifiers"][0]["value"] == "arXiv:2405.16417"


def test_every_dependency_has_a_floor():
    done = subprocess.run([sys.executable, ROOT / "tools/floors.py"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert all(re.fullmatch(r"[\w.-]+==\d[\d.]*", line) for line in lines), lines
    extras = PROJECT["optional-dependencies"]
    declared = PROJECT["dependencies"] + extras["test"] + extras["remote"]
    names = [re.match(r"[\w.-]+", line)[0] for line in declared if not line.startswith("croftbench[")]
    assert [line.partition("==")[0] for line in lines] == names


def test_ci_runs_what_people_run_on_every_python_that_is_promised():
    promised = [match[1] for c in PROJECT["classifiers"] if (match := re.fullmatch(r".*Python :: (3\.\d+)", c))]
    assert JOBS["test"]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    commands = {step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {".ci/run", "make floors"} <= commands
    for command in commands - {".ci/run"}:
        assert command.removeprefix("make ") in targets, command
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_can_be_filled_in(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert content["name"] and content["description"]
    assert len({field["id"] for field in content["body"]}) == len(content["body"])
    for field in content["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert ("options" in field["attributes"]) == (field["type"] in {"dropdown", "checkboxes"})


def test_each_contribution_has_a_form_and_a_list():
    kinds = {"method", "dataset", "leaderboard-row"}
    assert kinds <= {form.stem for form in FORMS}
    assert {path.stem for path in (ROOT / ".github/PULL_REQUEST_TEMPLATE").glob("*.md")} == kinds
