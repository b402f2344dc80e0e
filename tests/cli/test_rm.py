"""`croftbench rm`: nothing is lost, and nothing is moved unasked."""

import pytest

from croftbench.runs import results


@pytest.fixture
def folder(made, tmp_path):
    for method, seed in (("croft", 1), ("croft", 2), ("mine", 1)):
        made(tmp_path / "results", method, seed)
    (tmp_path / "results/failed/emoji-open/mine").mkdir(parents=True)
    (tmp_path / "results/failed/emoji-open/mine/0123456789ab.json").write_text("{}")
    return tmp_path / "results"


def left(folder):
    return sorted((run.spec.method, run.spec.seed) for run in results.read_all(folder))


def test_a_method_goes_into_the_trash_whole_and_can_be_moved_back(croftbench, folder):
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = croftbench("rm", "mine", "--yes")
    assert code == 0 and "Moved 2 run(s)" in err and "emoji-open/mine/" in out
    assert left(folder) == [("croft", 1), ("croft", 2)]
    assert not (folder / "failed/emoji-open/mine").exists()
    (trash,) = (folder / "trash").iterdir()
    kept = {path.relative_to(trash): path.read_bytes() for path in trash.rglob("*") if path.is_file()}
    assert kept and kept.items() <= before.items()
    assert any(path.suffix == ".parquet" for path in kept)


def test_a_run_goes_by_its_first_digits(croftbench, folder):
    run = next(run for run in results.read_all(folder) if run.spec.seed == 2)
    assert croftbench("rm", run.spec.run_id[:6], "-y")[0] == 0
    assert left(folder) == [("croft", 1), ("mine", 1)]


def test_it_asks_and_says_what_there_is_not(croftbench, folder):
    code, out, err = croftbench("rm", "croft")  # no terminal to ask
    assert code == 2 and "2 run(s) would be moved" in err and "--yes" in err
    assert out.count("emoji-open/croft/") == 2
    for names in (["nothing"], ["../runs"], [".."], [""], ["croft", "--suite", "other"]):
        assert croftbench("rm", *names, "--yes")[0] == 2
    assert len(left(folder)) == 3
