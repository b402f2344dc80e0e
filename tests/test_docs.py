"""What the documentation points at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    tests = {ROOT / name for name in re.findall(r"`(tests/[\w/]+\.\w+)`", text)}
    links = {(page.parent / name).resolve() for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)}
    assert [str(path) for path in sorted(tests | links) if not path.exists()] == []


def test_every_tripwire_has_its_test():
    lines = (ROOT / "docs/tripwires.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")][2:]
    assert len(rows) > 20
    for kind, does, test in rows:
        assert kind.strip().startswith("**") or (does.strip() and "`tests/" in test), kind
