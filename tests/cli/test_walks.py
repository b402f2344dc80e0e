"""The pages docs/submit.md and docs/walks.md, typed: what they say to type works, in order, on less data."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def commands(page: str, heading: str = "") -> list[list[str]]:
    """The words of each command below a heading of a page, or of the whole page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    part = text[text.index(f"## {heading}") :].split("\n## ")[0] if heading else text
    blocks = re.findall(r"```console\n(.*?)```", part, re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def copied(method: str, folder: Path) -> None:
    """Committed runs of a method on emoji-open, in another results folder."""
    shutil.copytree(ROOT / "results/runs/emoji-open" / method, folder / "runs/emoji-open" / method)


def test_a_row_goes_from_a_bundle_to_the_tables(croftbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    copied("clip-adapter", mine)  # stands for MyTip: its run is in docs/walks.md
    copied("zero-shot", theirs)
    lines = [[word.replace("MyTip", "clip-adapter") for word in line] for line in commands("submit.md")]
    assert [line[0] for line in lines].count("export") == 3
    for line in lines:
        if line[0] == "run":
            continue
        at_home = line[0] == "export" or line[-1] == "clip-adapter"
        code, out, err = croftbench(*line, "--results", mine if at_home else theirs)
        assert code == 0, f"{line}\n{out}\n{err}"
        if line[0] == "compare":
            assert "clip-adapter" in out
    table = next((theirs / "leaderboards").glob("emoji-open*.csv")).read_text()
    assert "clip-adapter" in table
    assert list((tmp_path / "records").glob("data/emoji-open/croftbench/*/*_samples.jsonl"))
    assert (tmp_path / "rows/clip-adapter/.eval_results/emoji-open.yaml").is_file()


def test_a_bundle_with_a_changed_number_is_refused(croftbench, tmp_path):
    mine = tmp_path / "mine"
    copied("clip-adapter", mine)
    assert croftbench("export", tmp_path / "x.zip", "--results", mine)[0] == 0
    whole = (tmp_path / "x.zip").read_bytes()
    at = whole.index(b'"value": 0.') + len(b'"value": 0.')
    (tmp_path / "x.zip").write_bytes(whole[:at] + (b"9" if whole[at : at + 1] != b"9" else b"8") + whole[at + 1 :])
    code, _, err = croftbench("import", tmp_path / "x.zip", "--results", tmp_path / "theirs")
    assert code == 1 and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "theirs/runs").exists()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A working folder with pictures in photos/."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0)
    for part, names in (("train", "abc"), ("test", "abc"), ("night", "abc"), ("new", "z")):
        for number, name in enumerate(names):
            folder = tmp_path / "photos" / part / {"a": "apple", "b": "boat", "c": "cat", "z": "zebra"}[name]
            folder.mkdir(parents=True)
            for i in range(5):
                pixels = drawn.integers(0, 60, (32, 32, 3)) + np.eye(3)[number] * (150 if part != "night" else 60)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path


def test_the_walk_of_a_student(croftbench, suite_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in commands("walks.md", "A student"):
        less = ["-s", suite_file] if line[0] in ("run", "compare") else []
        code, out, err = croftbench(*line, *less)
        assert code == 0, f"{line}\n{out}\n{err}"
    assert "MyTip" in out and "zero-shot" in out


def test_the_walk_of_an_engineer(croftbench, photos):
    said = {}
    for line in commands("walks.md", "An engineer"):
        code, said[line[0]], err = croftbench(*line)
        assert code == 0, f"{line}\n{err}"
    assert "tip-adapter" in said["leaderboard"]
    page = (photos / "site/index.html").read_text()
    assert "tip-adapter" in page and "photos" in page


def test_what_a_run_of_ones_own_images_takes_is_said_before_the_first(croftbench, photos):
    assert croftbench("data", "new", "photos")[0] == 0
    code, out, err = croftbench("run", "--method", "zero-shot", "--suite", "photos.toml", "--dry-run")
    assert code == 0, err
    assert "photos: 3 of 3 runs to do" in out
    assert not (photos / "results").exists()


def test_the_walk_of_a_reviewer(croftbench, tmp_path, monkeypatch):
    """In a clone with two methods' runs."""
    monkeypatch.chdir(tmp_path)
    for method in ("croft", "zero-shot"):
        copied(method, tmp_path / "results")
    assert croftbench("leaderboard", "emoji-open")[0] == 0  # which a clone has
    run = next((tmp_path / "results/runs/emoji-open/croft").glob("*.json")).stem
    for line in commands("walks.md", "A reviewer"):
        code, out, err = croftbench(*(run if word == "RUN_ID" else word for word in line))
        assert code == 0, f"{line}\n{out}\n{err}"
    sealed = next((tmp_path / "results/runs/emoji-open/croft").glob("*.json"))
    sealed.write_text(re.sub(r'"value": 0\.\d', '"value": 0.9', sealed.read_text(), count=1))
    assert croftbench("check", "--results")[0] == 1  # what the walk promises
