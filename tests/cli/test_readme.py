"""README, typed: every block runs, on a smaller suite where a block would run the default one."""

import io
import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.S)
PYTHON = [text for language, text in BLOCKS if language == "python"]


def commands(block):
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("croftbench ")]


def test_it_can_be_read_in_three_minutes():
    lines = README.splitlines()
    prose = [line for line in lines if not line.startswith(("|", "!", "`"))]
    assert len(lines) <= 120
    assert [line for line in prose if len(line) > 105] == []


def test_make_knows_its_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake (\w+)", README)
    assert {"run", "test", "docs", "wheel"} <= set(targets)
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)] == []


def test_the_first_commands_work(croftbench, suite_file):
    for words in commands(next(text for language, text in BLOCKS if language == "console")):
        code, _, err = croftbench(*words[1:], *(["-s", suite_file] if words[1] in ("run", "compare") else []))
        assert code == 0, f"{words}\n{err}"


def test_the_first_python_works(suite_file, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROFTBENCH_CACHE", str(cache))
    monkeypatch.setenv("CROFTBENCH_RESULTS", str(tmp_path / "results"))
    text = PYTHON[0].replace('"emoji-open"', repr(str(suite_file)))
    exec(compile(text, "README.md", "exec"), {})
    assert {"zero-shot", "croft"} <= set(capsys.readouterr().out.split())


def test_the_method_is_training_free_tip_adapter(croftbench, suite_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tip.py").write_text(PYTHON[1])
    methods = "tip.py:TipAdapter,tip-adapter"
    code, _, err = croftbench("run", "--method", methods, "-s", suite_file, "--set", "alpha=1", "--set", "beta=5.5")
    assert code == 0, err
    _, out, _ = croftbench("leaderboard", suite_file, "--format", "csv", "--wide")
    board = pd.read_csv(io.StringIO(out)).set_index("method")
    (mine,) = [row for name, row in board.iterrows() if name.startswith("TipAdapter")]
    (theirs,) = [row for name, row in board.iterrows() if name.startswith("tip-adapter")]
    for column in ("accuracy/id", "accuracy/covariate-mean", "auroc/semantic-mean", "fpr95/semantic-mean"):
        assert mine[column] == pytest.approx(theirs[column], abs=1e-6)


ON_DATA = commands(next(text for _, text in BLOCKS if "data new" in text))


@pytest.mark.parametrize("call", ON_DATA, ids=lambda words: " ".join(words[1:3]))
def test_options_of_the_commands_on_data_are_there(croftbench, call):
    name = call[1:3] if call[1] == "data" else call[1:2]
    code, out, _ = croftbench(*name, "--help")
    assert code == 0
    assert [word for word in call if word.startswith("--") and word not in out] == []


def test_birds_become_a_suite_and_a_table(croftbench, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    for role, shades in {"train": (40, 80, 120), "test": (60, 100)}.items():
        for k, name in enumerate(("owl", "duck", "swan")):
            for shade in shades:
                folder = tmp_path / "data/birds" / role / name
                folder.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (64, 64), (shade, 80 * k, 255 - shade)).save(folder / f"{shade}.png")
    for words in ON_DATA[:2]:
        code, out, err = croftbench(*words[1:])
        assert code == 0, f"{words}\n{err}"
    assert "tip-adapter" in out


def test_its_figures_are_those_of_the_tables():
    sys.path.insert(0, str(ROOT / "tools/site"))
    try:
        import rows
    finally:
        sys.path.pop(0)
    for page in rows.PAGES:
        text = page.read_text(encoding="utf-8")
        assert rows.fill(text, rows.figures()) == text
        assert text.count(" ± ") >= 7 * 5
