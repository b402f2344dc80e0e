"""One command reads each result file once, whatever it prints and writes (the page: report/test_read_once.py)."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "results"
CODE = """
import sys
opened = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[1] in ("r", "rb", None):
        opened.append(arguments[0])
sys.addaudithook(hook)
from croftbench.cli import main
try:
    main()
except SystemExit as stop:
    sys.stdout.flush()
    print("\\n".join(["@@@", *opened]))
    sys.exit(stop.code)
"""


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A few committed runs with all that is kept beside them."""
    folder = tmp_path_factory.mktemp("few")
    for kind in ("runs", "posthoc"):
        for method in ("zero-shot", "tip-adapter"):
            for path in (RESULTS / kind / "emoji-open" / method).iterdir():
                target = folder / kind / "emoji-open" / method / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path)
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "leaderboard emoji-open", "leaderboard emoji-open --format json", "plot roc -o {tmp}/a.svg",
        "run -m zero-shot,tip-adapter --cache {cache}",
    ],
)  # fmt: skip
def test_each_result_is_read_once(few, cache, tmp_path, line):
    words = line.format(tmp=tmp_path, cache=cache).split()
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words, "--results", str(few)], capture_output=True, text=True, check=True
    )
    opened = done.stdout.partition("@@@\n")[2].splitlines()
    reads = Counter(p for p in opened if p.startswith(str(few)) and p.endswith((".json", ".parquet")))
    assert len([path for path in reads if "/runs/" in path and path.endswith(".json")]) == 10
    assert set(reads.values()) == {1}
