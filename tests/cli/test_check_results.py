"""`check --results`: every stored number again, and an error for each file that was changed."""

import json

import pytest

import croftbench as library
from croftbench import files
from croftbench.runs import per_image, posthoc, results
from croftbench.runs.posthoc import Posthoc, Scored


@pytest.fixture
def folder(made, tmp_path, croftbench):
    """A results folder of one run with tables and post-hoc scores, and that run."""
    root = tmp_path / "results"
    run = made(root, "croft", 1)
    posthoc.write(root, Posthoc(run.spec, ({"numpy": "2"},), (Scored("gen", "gen", scores=run.scores[:2]),)))
    files.write_atomically(root / "tuning/emoji-open/croft.json", files.sealed('{\n "auroc": 0.5\n}'))
    assert croftbench("leaderboard", "emoji-open")[0] == 0
    return root, run


def resealed(path, **changes):
    """As somebody would write it who means to deceive."""
    data = json.loads(path.read_text())
    del data["digest"]
    path.write_text(files.sealed(json.dumps(data | changes, indent=1)))


def test_an_honest_folder(folder, croftbench):
    _, run = folder
    code, out, err = croftbench("check", "--results")
    assert (code, err) == (0, "")
    assert f"ok  run emoji-open/croft/{run.spec.run_id}: {len(run.scores)} numbers" in out
    for kind in ("posthoc", "tuning", "leaderboard"):
        assert f"ok  {kind} " in out


def change_json(root, run):
    """One accuracy, with a digest that fits: only the images give it away."""
    path = results.path_of(root, run.spec)
    scores = json.loads(path.read_text())["scores"]
    scores[0]["value"] = 0.99
    resealed(path, scores=scores)
    return path, "value of accuracy id is 0.990000, its per-image table gives"


def flip_table(root, run):
    path = per_image.path_of(root, run.spec)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    return path, "its digest is not the one in its run"


def delete_table(root, run):
    per_image.path_of(root, run.spec).unlink()
    return per_image.path_of(root, run.spec), "cannot be computed again"


def delete_json(root, run):
    results.path_of(root, run.spec).unlink()
    return per_image.path_of(root, run.spec), "has no run beside it"


def edit(name, old, new, says):
    def change(root, run):
        path = root / name.format(run=run)
        is_packed, data = path.suffix == ".gz", path.read_bytes()
        text = (files.unpacked(data) if is_packed else data).decode()
        assert old in text
        text = text.replace(old, new, 1)
        path.write_bytes(files.packed(text) if is_packed else text.encode())
        return path, says

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_json, flip_table, delete_table, delete_json,
        edit("leaderboards/emoji-open.csv", "\ncroft,", "\nwinner,", "differ from what the runs derive"),
        edit("leaderboards/emoji-open-scores.md", "|", "||", "differ from what the runs derive"),
        edit("posthoc/emoji-open/croft/{run.spec.run_id}.json.gz", '"value": 0.', '"value": 0.9', "digest is another"),
        edit("tuning/emoji-open/croft.json", "0.5", "0.6", "its digest is another"),
        edit("runs/emoji-open/croft/{run.spec.run_id}.json", '"high": 0.', '"high": 0.9', "its digest is another"),
    ],
)  # fmt: skip
def test_each_change_is_found_and_names_its_file(folder, croftbench, change):
    path, says = change(*folder)
    code, _, err = croftbench("check", "--results", folder[0])
    assert code == 1
    assert str(path) in err
    assert says in err
    assert "are not to be trusted" in err


def test_the_library_says_the_same(folder):
    root, run = folder
    assert not [one for one in library.check(results=root) if one.error]
    change_json(root, run)
    (wrong,) = [one for one in library.check(results=root) if one.kind == "run"]
    assert "its per-image table gives" in wrong.error.message


def test_a_folder_without_runs_is_no_success(croftbench, tmp_path):
    code, _, err = croftbench("check", "--results")
    assert code == 2
    assert f"there is no results folder {tmp_path / 'results'}" in err


def test_without_the_option_manifests_are_checked_whatever_the_variable_says(croftbench, folder, monkeypatch):
    code, out, _ = croftbench("check")
    assert code == 0
    assert "ok  suite emoji-open" in out
    assert "ok  run" not in out


@pytest.mark.parametrize(
    "line", ["leaderboard emoji-open", "show {run}", "report emoji-open -o {tmp}/site", "export {tmp}/out.zip"]
)
def test_no_command_shows_a_number_that_was_changed(folder, croftbench, tmp_path, line):
    root, run = folder
    path, _ = edit("runs/emoji-open/croft/{run.spec.run_id}.json", '"value": 0.', '"value": 0.9', "")(root, run)
    code, out, err = croftbench(*line.format(run=run.spec.run_id, tmp=tmp_path).split())
    assert code == 1
    assert out == ""
    assert str(path) in err
    assert "croftbench run --suite emoji-open --method croft" in err


@pytest.mark.parametrize(
    "line", ["compare croft zero-shot -s emoji-open", "export {tmp}/out.zip", "plot roc -s emoji-open -o {tmp}/a.svg"]
)
def test_a_changed_table_is_neither_compared_nor_drawn_nor_shared(folder, made, croftbench, tmp_path, line):
    root, run = folder
    made(root, "zero-shot", 1)
    path, says = flip_table(root, run)
    code, _, err = croftbench(*line.format(tmp=tmp_path).split())
    assert code == 1
    assert str(path) in err
    assert says in err
    assert not (tmp_path / "out.zip").exists()
